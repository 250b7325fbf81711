//! Enums that are tables: a variant is a row, with its name in configs and what stands behind it.
//! Adding one is a row; the compiler names whatever else has to know.

/// Defines an enum whose variants are read and written under the names given, and `ALL`, `NAMES`
/// (in the same order), `name()` and `row()`: what stands behind a variant.
macro_rules! table {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident: $Row:ty {
            $($(#[$doc:meta])* $Variant:ident = $name:literal => $row:expr,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $Name {
            $($(#[$doc])* #[serde(rename = $name)] $Variant,)+
        }

        impl $Name {
            /// Every row.
            pub const ALL: &[Self] = &[$(Self::$Variant,)+];
            /// As configs have them.
            pub const NAMES: &[&str] = &[$($name,)+];

            /// As configs have it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name,)+
                }
            }

            fn row(self) -> $Row {
                match self {
                    $(Self::$Variant => $row,)+
                }
            }
        }
    };
}

pub(crate) use table;
