//! Downloads into the cache: with progress, resumed where they broke off, refused when the checksum is wrong.
//! Knows nothing of what is in the files.

use super::read::DataError;
use crate::config::Source;
use etcetera::BaseStrategy;
use md5::{Digest, Md5};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A published file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// From where.
    pub url: String,
    /// Where in the cache, `set/file`.
    pub file: String,
    /// Published MD5, hexadecimal.
    pub md5: String,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Which file.
    pub file: String,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all, when the server says so.
    pub of: Option<u64>,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Download {
    /// It was there already, whole.
    Present(PathBuf),
    /// It was fetched.
    Fetched(PathBuf),
}

const FASHION_URL: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";
const CIFAR_URL: &str = "https://www.cs.toronto.edu/~kriz";
/// MD5 of the published files (Fashion-MNIST's README, the CIFAR page).
const FASHION: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
    ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
];

/// The files of a source; none for those that are not downloaded.
pub fn remotes(source: Source) -> Vec<Remote> {
    let cifar = |set: &str, file: &str, md5: &str| {
        vec![Remote { url: format!("{CIFAR_URL}/{file}"), file: format!("{set}/{file}"), md5: md5.into() }]
    };
    match source {
        Source::Embedded | Source::Folder => Vec::new(),
        Source::FashionMnist => FASHION
            .map(|(file, md5)| Remote {
                url: format!("{FASHION_URL}/{file}"),
                file: format!("fashion-mnist/{file}"),
                md5: md5.into(),
            })
            .to_vec(),
        Source::Cifar10 => cifar("cifar10", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
        Source::Cifar100 => cifar("cifar100", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    }
}

/// `$XDG_CACHE_HOME/earlybird` (usually `~/.cache/earlybird`).
pub fn cache_dir() -> PathBuf {
    let base = etcetera::choose_base_strategy().map(|s| s.cache_dir());
    base.unwrap_or_else(|_| std::env::temp_dir()).join("earlybird")
}

/// Fetches one file into `cache`. What a broken try left (`.part`) is gone on from; the final name appears only with the
/// right checksum, a wrong file is set aside as `.bad`.
///
/// # Errors
/// [`DataError::Download`], [`DataError::Checksum`] or [`DataError::Io`].
pub fn download(remote: &Remote, cache: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Download, DataError> {
    let target = cache.join(&remote.file);
    if target.is_file() {
        verify(&target, &remote.md5)?;
        return Ok(Download::Present(target));
    }
    let directory = target.parent().unwrap_or(cache);
    fs::create_dir_all(directory).map_err(DataError::io(directory))?;
    let part = with_suffix(&target, ".part");
    let failed = |what: String| DataError::Download { url: remote.url.clone(), what, cache: directory.to_owned() };

    let have = fs::metadata(&part).map_or(0, |m| m.len());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(&remote.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|e| failed(e.to_string()))?;
    let status = response.status().as_u16();
    let resumed = match status {
        206 => true,
        200 => false,
        416 => true, // nothing is left to send: what is here is whole, or the checksum will tell
        _ => return Err(failed(format!("the server answered {}", response.status()))),
    };
    let mut done = if resumed { have } else { 0 };
    let length = response.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let of = if status == 416 { Some(have) } else { length.map(|l| l + done) };
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(resumed)
        .truncate(!resumed)
        .open(&part)
        .map_err(DataError::io(&part))?;
    if status != 416 {
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut block = vec![0; 1 << 16];
        loop {
            progress(Progress { file: remote.file.clone(), done, of });
            let got = body.read(&mut block).map_err(|e| failed(format!("broke off at byte {done}: {e}")))?;
            if got == 0 {
                break;
            }
            file.write_all(&block[..got]).map_err(DataError::io(&part))?;
            done += got as u64;
        }
        if of.is_some_and(|of| done < of) {
            return Err(failed(format!("broke off at byte {done} of {}", of.unwrap_or(0))));
        }
    }
    file.sync_all().map_err(DataError::io(&part))?;
    verify(&part, &remote.md5)?;
    fs::rename(&part, &target).map_err(DataError::io(&target))?;
    Ok(Download::Fetched(target))
}

/// Sets a file aside that is not what was published.
fn verify(file: &Path, want: &str) -> Result<(), DataError> {
    let mut hasher = Md5::new();
    let mut reader = File::open(file).map_err(DataError::io(file))?;
    let mut block = vec![0; 1 << 16];
    loop {
        let got = reader.read(&mut block).map_err(DataError::io(file))?;
        if got == 0 {
            break;
        }
        hasher.update(&block[..got]);
    }
    let got: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if got == want {
        return Ok(());
    }
    let aside = with_suffix(file, ".bad");
    fs::rename(file, &aside).map_err(DataError::io(&aside))?;
    Err(DataError::Checksum { file: file.to_owned(), got, want: want.to_owned(), aside })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
