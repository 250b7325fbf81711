//! How far data on its way is.

/// What is being waited for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// A file is downloaded.
    Download {
        /// Which, `set/file`.
        file: String,
        /// Bytes that are here.
        done: u64,
        /// Bytes in all, when the server says so.
        of: Option<u64>,
    },
    /// Another process downloads this file.
    Waiting {
        /// Which, `set/file`.
        file: String,
    },
    /// Images are read.
    Images {
        /// From where.
        from: String,
        /// Files that are read.
        done: u64,
        /// Files in all.
        of: u64,
    },
}
