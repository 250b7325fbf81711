//! Downloads against a server on this machine: progress, resume, checksum, several processes,
//! servers that stall.

use crate::support::noise;
use earlybird::data::{DataError, Download, PATIENCE, Progress, Remote, download};
use md5::{Digest, Md5};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

/// Serves `body`, honouring ranges; the first answer breaks off after `cut` bytes. Gives its
/// address and the ranges asked for.
fn serve(body: Vec<u8>, cut: Option<usize>, requests: usize) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
    let (asked, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for k in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let from: usize = request
                .lines()
                .find_map(|l| l.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok())
                .unwrap_or(0);
            asked.send(from.to_string()).unwrap();
            let rest = &body[from..];
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                rest.len()
            )
            .unwrap();
            let end = if k == 0 { cut.unwrap_or(rest.len()) } else { rest.len() };
            let _ = stream.write_all(&rest[..end]);
        }
    });
    (url, heard)
}

fn remote(url: String, body: &[u8]) -> Remote {
    let md5 = Md5::digest(body).iter().map(|b| format!("{b:02x}")).collect();
    Remote { url, file: "set/file.bin".into(), md5 }
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let body = noise(300_000, 5);
    let (url, asked) = serve(body.clone(), Some(100_000), 2);
    let cache = tempfile::tempdir().unwrap();
    let remote = remote(url, &body);
    let mut seen = Vec::new();
    let first =
        download(&remote, cache.path(), PATIENCE, &mut |p| seen.push(p)).expect_err("broken off");
    assert!(
        matches!(first, DataError::Download { .. }) && first.to_string().contains("byte 100000"),
        "{first}"
    );
    assert!(!cache.path().join("set/file.bin").exists(), "no half file under the final name");
    let path = cache.path().join("set/file.bin");
    assert_eq!(
        download(&remote, cache.path(), PATIENCE, &mut |p| seen.push(p)).unwrap(),
        Download::Fetched(path.clone())
    );
    assert_eq!(std::fs::read(&path).unwrap(), body);
    assert_eq!(asked.iter().collect::<Vec<_>>(), ["0", "100000"]);
    assert!(
        seen.iter().any(|p| matches!(p, Progress::Download { done: 1.., of: Some(300_000), .. }))
    );
    assert_eq!(
        download(&remote, cache.path(), PATIENCE, &mut |_| {}).unwrap(),
        Download::Present(path),
        "nothing is asked again"
    );
}

#[test]
fn a_wrong_checksum_is_refused_and_the_file_set_aside() {
    let (url, _asked) = serve(noise(1_000, 5), None, 1);
    let cache = tempfile::tempdir().unwrap();
    let error = download(&remote(url, b"something else"), cache.path(), PATIENCE, &mut |_| {})
        .expect_err("wrong file");
    let DataError::Checksum { aside, .. } = &error else { panic!("{error}") };
    assert!(
        aside.exists()
            && !cache.path().join("set/file.bin").exists()
            && !cache.path().join("set/file.bin.part").exists()
    );
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let error =
        download(&remote("http://127.0.0.1:1/x".into(), b""), cache.path(), PATIENCE, &mut |_| {})
            .expect_err("nobody there");
    let text = error.to_string();
    assert!(text.contains("http://127.0.0.1:1/x") && text.contains("data.path"), "{text}");
}

/// A server that sends the head of an answer of 100,000 bytes, then what `body` says.
fn answers(body: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        body(&mut stream);
        let _ = stream.read(&mut [0; 1]); // the connection stays open until the other side gives up
    });
    url
}

#[test]
fn a_server_that_stalls_in_the_middle_is_given_up_and_what_came_is_kept() {
    let stalls = answers(|stream| stream.write_all(&[7; 5_000]).unwrap());
    let drips = answers(|stream| {
        // A byte at a time, each within the patience, until nobody listens.
        while stream.write_all(&[7]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for (url, least) in [(stalls, 5_000), (drips, 1)] {
        let cache = tempfile::tempdir().unwrap();
        let error =
            download(&remote(url, b""), cache.path(), Duration::from_millis(200), &mut |_| {})
                .expect_err("stalled");
        assert!(matches!(error, DataError::Download { .. }), "{error}");
        assert!(std::fs::metadata(cache.path().join("set/file.bin.part")).unwrap().len() >= least);
    }
}

#[test]
fn of_two_at_once_one_fetches_and_the_other_uses_what_it_got() {
    let body = noise(300_000, 5);
    let (url, asked) = serve(body.clone(), None, 1);
    let cache = tempfile::tempdir().unwrap();
    let remote = remote(url, &body);
    let (second_waits, waits) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut second = None;
        let first = download(&remote, cache.path(), PATIENCE, &mut |_| {
            if second.is_some() {
                return;
            }
            // The first has the lock here; it goes on only when the second has met it.
            let (told, remote, cache) = (second_waits.clone(), &remote, cache.path());
            second = Some(scope.spawn(move || {
                download(remote, cache, PATIENCE, &mut |p| {
                    if matches!(p, Progress::Waiting { .. }) {
                        told.send(()).unwrap();
                    }
                })
            }));
            waits.recv().unwrap();
        });
        let path = cache.path().join("set/file.bin");
        assert_eq!(first.unwrap(), Download::Fetched(path.clone()));
        assert_eq!(second.unwrap().join().unwrap().unwrap(), Download::Present(path.clone()));
        assert_eq!(std::fs::read(&path).unwrap(), body);
    });
    assert_eq!(asked.iter().count(), 1, "it was asked for once");
}
