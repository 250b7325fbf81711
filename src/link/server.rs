//! A run's socket, served on a thread of its own: each client is greeted, shown the run, and heard.
//! A client that is slow gets snapshots (see `feed`), one that reads nothing is dropped, one that
//! sends garbage is hung up on; no other notices.

use super::wire::{
    ClientKind, FrameError, FromHost, Greeting, Hello, OVER, ToHost, host_codec, line, parse, whole,
};
use super::{Backlog, Feed, Published, Subscription};
use crate::advice::uninterrupted;
use crate::protocol::{Answer, Reply, Request};
use futures_util::StreamExt;
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::codec::FramedRead;

/// Clients at once.
const CLIENTS: usize = 64;
/// A client that has not greeted by then is hung up on.
const GREETING: Duration = Duration::from_secs(5);
/// Who is there to ask and does not ask for so long makes room for others.
const IDLE: Duration = Duration::from_secs(60);
/// A client that has read nothing for so long is dropped.
const STUCK: Duration = Duration::from_secs(30);
/// How long a client that is hung up on may take to hear why.
const FAREWELL: Duration = Duration::from_secs(1);
/// What clients have to take the last frames when the run is over.
const GOODBYE: Duration = Duration::from_secs(3);
/// Dropped clients that are remembered.
const REMEMBERED: usize = 64;
/// Longest path that a socket address holds on every system, without the closing NUL.
const ADDRESS: usize = 100;

/// Why a run has no socket.
#[derive(Debug, thiserror::Error)]
#[error(
    "the control socket {} cannot be made: {source}\n  Some network file systems and sandboxes \
     have no sockets: choose another \
     --runs-dir, or train with --inline or --headless there.",
    path.display()
)]
pub struct ServerError {
    path: PathBuf,
    source: io::Error,
}

/// A socket that is being served; it goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Device and inode of the socket's file: another process may have put its own there.
    id: Option<(u64, u64)>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// That read nothing.
    stuck: Duration,
    /// That are there to ask, and ask nothing.
    idle: Duration,
}

struct Shared {
    run: String,
    feed: Feed,
    requests: mpsc::WeakSender<Request>,
    patience: Patience,
    clients: AtomicU64,
    /// Numbers of clients that were dropped, and why.
    dropped: Mutex<VecDeque<(u64, String)>>,
}

/// Serves the socket `path` of `run`: what `feed` publishes goes out, what clients ask goes to
/// `requests`. A socket that is there already goes: the caller has the run's lock, and nobody
/// answered there.
///
/// # Errors
/// [`ServerError`] when there can be no socket.
pub fn serve(
    path: &Path,
    run: String,
    feed: Feed,
    requests: &mpsc::Sender<Request>,
) -> Result<Server, ServerError> {
    serve_with(path, run, feed, requests, Patience { stuck: STUCK, idle: IDLE })
}

/// The same, with another patience.
fn serve_with(
    path: &Path,
    run: String,
    feed: Feed,
    requests: &mpsc::Sender<Request>,
    patience: Patience,
) -> Result<Server, ServerError> {
    let failed = |source| ServerError { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let bind = || {
        let (short, _directory) = short_path(path)?;
        std::os::unix::net::UnixListener::bind(short)
    };
    let listener = uninterrupted(bind).map_err(failed)?;
    // Not every file system knows modes. The run's directory keeps others out, and each client's
    // user is looked at.
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    let gone = |e| {
        let _ = std::fs::remove_file(path);
        failed(e)
    };
    listener.set_nonblocking(true).map_err(gone)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(gone)?;
    let requests = requests.downgrade();
    let clients = AtomicU64::new(0);
    let shared =
        Arc::new(Shared { run, feed, requests, patience, clients, dropped: Mutex::default() });
    let (stop, stopped) = watch::channel(false);
    let serve = move || runtime.block_on(accept(listener, shared, stopped));
    let thread = std::thread::Builder::new().name("link".into()).spawn(serve).map_err(gone)?;
    Ok(Server { path: path.to_owned(), id: id_of(path), stop, thread: Some(thread) })
}

impl Drop for Server {
    /// Gives clients what they have not read yet, if they hurry, and closes.
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic's report is in the log
        }
        if self.id.is_some() && id_of(&self.path) == self.id {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn id_of(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

/// A path to the same file that fits into a socket address, as long as the second part is open.
///
/// # Errors
/// When its directory cannot be opened.
pub(super) fn short_path(path: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) if path.as_os_str().len() > ADDRESS => {
            let directory = std::fs::File::open(directory)?;
            let fd = std::os::fd::AsRawFd::as_raw_fd(&directory);
            let short = Path::new("/proc/self/fd").join(fd.to_string()).join(name);
            Ok((short, Some(directory)))
        }
        _ => Ok((path.to_owned(), None)),
    }
}

async fn accept(
    listener: std::os::unix::net::UnixListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < CLIENTS => {
                    clients.spawn(attend(stream, shared.clone()));
                }
                Ok((stream, _)) => {
                    let bye = line(&FromHost::Bye(format!("{CLIENTS} clients are attached \
                                                           already"))) + "\n";
                    let _ = stream.try_write(bye.as_bytes()); // a new socket has room for a line
                }
                // Out of descriptors, most likely: others will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            _ = stopped.changed() => break,
        }
    }
    let all = async { while clients.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GOODBYE, all).await;
}

/// A client's side for writing.
struct Out {
    half: OwnedWriteHalf,
    stuck: Duration,
}

/// Why a conversation ends.
enum End {
    /// The client left, or its line broke.
    Gone,
    /// It reads nothing.
    Stuck,
}

impl Out {
    async fn send(&mut self, frame: &FromHost) -> Result<(), End> {
        let mut text = line(frame);
        text.push('\n');
        match tokio::time::timeout(self.stuck, self.half.write_all(text.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Stuck),
        }
    }
}

async fn attend(stream: UnixStream, shared: Arc<Shared>) {
    // The directory keeps others out; this does so where somebody opened it.
    if stream.peer_cred().map(|c| c.uid()).ok() != Some(rustix::process::geteuid().as_raw()) {
        return;
    }
    let client = shared.clients.fetch_add(1, Ordering::Relaxed) + 1;
    let (read, half) = stream.into_split();
    if let Err(End::Stuck) = converse(
        FramedRead::new(read, host_codec()),
        Out { half, stuck: shared.patience.stuck },
        client,
        &shared,
    )
    .await
    {
        let why = format!(
            "this cockpit read nothing for {} s and was dropped; here is everything again",
            shared.patience.stuck.as_secs()
        );
        let mut dropped = shared.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.push_back((client, why));
        if dropped.len() > REMEMBERED {
            dropped.pop_front();
        }
    }
}

type Frames = FramedRead<tokio::net::unix::OwnedReadHalf, tokio_util::codec::LinesCodec>;

/// Says why, and lets the client hear it: what it still sends would otherwise cut the line before
/// that.
async fn hang_up(mut frames: Frames, mut out: Out, why: String) -> Result<(), End> {
    out.send(&FromHost::Bye(why)).await?;
    let _ = out.half.shutdown().await;
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(frames.get_mut(), &mut nowhere);
    let _ = tokio::time::timeout(FAREWELL, rest).await;
    Ok(())
}

async fn converse(
    mut frames: Frames,
    mut out: Out,
    client: u64,
    shared: &Shared,
) -> Result<(), End> {
    let (greeting, paused) =
        (Greeting::ours(), shared.feed.look(crate::dashboard::Dashboard::is_paused));
    let (run, pid) = (shared.run.clone(), std::process::id());
    out.send(&FromHost::Welcome { greeting: greeting.clone(), run, pid, client, paused }).await?;
    let hello = match tokio::time::timeout(GREETING, frames.next()).await {
        Ok(Some(frame)) => hello_of(frame, &greeting, &shared.run),
        Ok(None) => return Ok(()),
        Err(_) => Err(HelloError::Late),
    };
    let hello = match hello {
        Ok(hello) => hello,
        Err(why) => return hang_up(frames, out, why.to_string()).await,
    };
    let mut subscription =
        (hello.purpose == ClientKind::Cockpit).then(|| shared.feed.subscribe(Backlog::Bounded));
    if let Some(why) = hello.was.and_then(|was| shared.why_dropped(was)) {
        out.send(&FromHost::Notice(why)).await?;
    }
    let (replies, mut replied) = mpsc::unbounded_channel();
    let mut waiting = 0_usize; // requests without an answer
    let asks = hello.purpose == ClientKind::Ask;
    loop {
        tokio::select! {
            biased; // a record comes before the answer that it is
            frame = frames.next() => {
                let Some(frame) = frame else { return Ok(()) };
                match parse::<ToHost>(frame) {
                    Ok(ToHost::Request { id, command }) => {
                        waiting += 1;
                        let answer = Some(Answer::new(id, &replies));
                        let requests = shared.requests.upgrade();
                        let sent = requests.map(|r| r.try_send(Request { command, answer }));
                        if let Some(Err(mpsc::error::TrySendError::Full(_))) = sent {
                            let why = "too many commands wait for the trainer; this one was let go";
                            out.send(&FromHost::Notice(why.into())).await?;
                        }
                    }
                    Ok(ToHost::Hello(_)) => {
                        return hang_up(frames, out, "greeted twice".into()).await;
                    }
                    Err(e) => return hang_up(frames, out, e.to_string()).await,
                }
            }
            published = next(&mut subscription) => match published {
                Some(Published::Snapshot(dashboard)) => {
                    out.send(&FromHost::Snapshot(dashboard)).await?;
                }
                Some(Published::Record(record)) => out.send(&FromHost::Record(*record)).await?,
                None => {
                    while let Ok(Reply { id, record }) = replied.try_recv() {
                        out.send(&FromHost::Answer { id, record }).await?;
                    }
                    return out.send(&FromHost::Bye(OVER.into())).await;
                }
            },
            Some(Reply { id, record }) = replied.recv(), if waiting > 0 => {
                waiting -= 1;
                out.send(&FromHost::Answer { id, record }).await?;
            }
            () = tokio::time::sleep(shared.patience.idle), if asks && waiting == 0 => {
                let why = format!("nothing was asked for {} s", shared.patience.idle.as_secs());
                return hang_up(frames, out, why).await;
            }
        }
    }
}

/// What is next for a cockpit; nothing ever for somebody who only asks.
async fn next(subscription: &mut Option<Subscription>) -> Option<Published> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

/// Why a client is not greeted.
#[derive(Debug, thiserror::Error)]
enum HelloError {
    #[error("no greeting within {} s", GREETING.as_secs())]
    Late,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Version(String),
    #[error("asked before it greeted")]
    Asked,
}

fn hello_of(
    frame: Result<String, tokio_util::codec::LinesCodecError>,
    ours: &Greeting,
    run: &str,
) -> Result<Hello, HelloError> {
    // A newer client's greeting is understood before the rest of its frame.
    #[derive(serde::Deserialize)]
    struct Anyone {
        hello: Greeting,
    }
    let text = whole(frame)?;
    let greeting = serde_json::from_str::<Anyone>(&text).map_err(FrameError::from)?.hello;
    if let Some(why) =
        ours.mismatch(&greeting, "this program", &format!("the process that trains {run}"))
    {
        return Err(HelloError::Version(why));
    }
    match parse::<ToHost>(Ok(text))? {
        ToHost::Hello(hello) => Ok(hello),
        ToHost::Request { .. } => Err(HelloError::Asked),
    }
}

impl Shared {
    fn why_dropped(&self, was: u64) -> Option<String> {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let at = dropped.iter().position(|(client, _)| *client == was)?;
        dropped.remove(at).map(|(_, why)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Delivery, ask, connect};
    use crate::protocol::{Command, Event, Record};
    use std::io::{BufRead, BufReader, Write};

    fn note(seq: u64) -> Record {
        Record { seq, t: 0.0, event: Event::Note { text: "x".repeat(1_000) } }
    }

    fn served(
        stuck: Duration,
    ) -> (tempfile::TempDir, PathBuf, Feed, mpsc::Receiver<Request>, mpsc::Sender<Request>, Server)
    {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("control.sock");
        let feed = Feed::default();
        let (requests, received) = crate::link::requests();
        let server = serve_with(
            &path,
            "demo-001".into(),
            feed.clone(),
            &requests,
            Patience { stuck, idle: IDLE },
        )
        .expect("served");
        (dir, path, feed, received, requests, server)
    }

    fn hello(was: Option<u64>) -> String {
        line(&ToHost::Hello(Hello {
            greeting: Greeting::ours(),
            purpose: ClientKind::Cockpit,
            was,
        })) + "\n"
    }

    #[test]
    fn a_client_that_reads_nothing_is_dropped_and_told_why_when_it_is_back() {
        let (_dir, path, feed, _received, _requests, server) = served(Duration::from_millis(100));
        let mut sleeper = std::os::unix::net::UnixStream::connect(&path).expect("connected");
        sleeper.write_all(hello(None).as_bytes()).expect("greeted");
        // It is awake until the host has taken it on.
        let mut lines = BufReader::new(sleeper.try_clone().expect("clone")).lines();
        let welcome = lines.next().expect("a line").expect("welcome");
        let Ok(FromHost::Welcome { client, .. }) = parse::<FromHost>(Ok(welcome)) else {
            panic!("no welcome")
        };
        assert!(lines.next().expect("a line").expect("snapshot").starts_with("{\"snapshot\""));
        // Then it sleeps. What is published meanwhile fills the socket, then nothing; the host lets
        // go of it.
        let mut seq = 0;
        while feed.subscribers() > 0 {
            seq += 1;
            feed.publish(note(seq));
        }
        let mut back = std::os::unix::net::UnixStream::connect(&path).expect("connected");
        back.write_all(hello(Some(client)).as_bytes()).expect("greeted");
        let told = BufReader::new(back)
            .lines()
            .map(|l| l.expect("line"))
            .find(|l| l.starts_with("{\"notice\""));
        assert!(told.expect("a notice").contains("was dropped"));
        drop(server);
    }

    #[test]
    fn who_asks_nothing_gives_its_place_up_and_a_cockpit_keeps_its_own() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("control.sock");
        let (requests, mut received) = crate::link::requests();
        let patience = Patience { stuck: STUCK, idle: Duration::from_millis(50) };
        let feed = Feed::default();
        let _server =
            serve_with(&path, "demo-001".into(), feed, &requests, patience).expect("served");
        let connected = || std::os::unix::net::UnixStream::connect(&path).expect("connected");
        let mut cockpit = connected();
        cockpit.write_all(hello(None).as_bytes()).expect("greeted");
        let mut asker = connected();
        let (greeting, purpose) = (Greeting::ours(), ClientKind::Ask);
        let asks = ToHost::Hello(Hello { greeting, purpose, was: None });
        asker.write_all((line(&asks) + "\n").as_bytes()).expect("greeted");
        let told = BufReader::new(asker).lines().map_while(Result::ok).last();
        assert!(told.as_ref().is_some_and(|t| t.contains("nothing was asked for")), "{told:?}");
        // The cockpit was there before, and still is heard.
        let request = ToHost::Request { id: 0, command: Command::Pause };
        cockpit.write_all((line(&request) + "\n").as_bytes()).expect("still there");
        assert_eq!(received.blocking_recv().map(|r| r.command), Some(Command::Pause));
    }

    #[test]
    fn a_cockpit_whose_host_hangs_up_is_told_that_the_run_goes_on() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("control.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let host = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let (greeting, run) = (Greeting::ours(), "demo-001".to_owned());
            let welcome = FromHost::Welcome { greeting, run, pid: 1, client: 1, paused: false };
            let bye = FromHost::Bye("a frame is longer than \u{1b}[2J".into());
            let said = format!("{}\n{}\n", line(&welcome), line(&bye));
            stream.write_all(said.as_bytes()).expect("said");
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let mut end = connect(&path).expect("connected");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let next = runtime.expect("runtime").block_on(end.next());
        assert_eq!(next, Some(Delivery::Parted("a frame is longer than \\u001b[2J".into())));
        drop(end);
        host.join().expect("no panic");
    }

    #[test]
    fn a_cockpit_gets_what_is_published_and_its_commands_arrive() {
        let (_dir, path, feed, mut received, _requests, server) = served(STUCK);
        feed.publish(note(1));
        let mut end = connect(&path).expect("connected");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let first = end.next().await;
            assert!(
                matches!(&first, Some(Delivery::Snapshot(d)) if d.messages.len() == 1),
                "{first:?}"
            );
            feed.publish(note(2));
            assert_eq!(end.next().await, Some(Delivery::Record(note(2))));
            assert_eq!(end.send(Command::Pause), Some(1));
            assert_eq!(received.recv().await.map(|r| r.command), Some(Command::Pause));
            let reply = Reply { id: 1, record: None };
            assert_eq!(end.next().await, Some(Delivery::Reply(reply)), "it was not answered");
            feed.close();
            assert_eq!(end.next().await, Some(Delivery::Closed("the run is over".into())));
            assert_eq!(end.next().await, None);
        });
        drop(server);
        assert!(!path.exists(), "the socket goes with its server");
    }

    #[test]
    fn a_command_that_is_sent_as_the_cockpit_is_left_still_arrives() {
        let (_dir, path, _feed, mut received, _requests, _server) = served(STUCK);
        let end = connect(&path).expect("connected");
        assert_eq!(end.send(Command::Note { text: "last words".into() }), Some(1));
        drop(end);
        assert_eq!(
            received.blocking_recv().map(|r| r.command),
            Some(Command::Note { text: "last words".into() })
        );
    }

    #[test]
    fn who_asks_is_answered_with_the_record() {
        let (_dir, path, _feed, mut received, _requests, _server) = served(STUCK);
        let trainer = std::thread::spawn(move || {
            let request = received.blocking_recv().expect("a request");
            request.answer.expect("somebody waits").give(note(7));
            request.command
        });
        assert_eq!(
            ask(&path, Command::Pause).expect("asked"),
            crate::link::Answered::Record(Box::new(note(7)))
        );
        assert_eq!(trainer.join().expect("no panic"), Command::Pause);
    }
}
