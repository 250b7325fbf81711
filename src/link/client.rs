//! A client of a run's socket, on a thread of its own: what comes in is handed on, what is asked
//! goes out, and a line that breaks is mended as long as the run's process lives.

use super::Delivery;
use super::server::short_path;
use super::wire::{
    ClientKind, FrameError, FromHost, Greeting, Hello, OVER, ToHost, client_codec, line, parse,
    too_long, whole,
};
use crate::printable::{in_one_line, printable};
use crate::protocol::{Command, Record, Reply};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec};

/// Deliveries that wait for the screen; more wait at the host, which thins them.
const DELIVERIES: usize = 64;
/// How long a host may take to greet.
const GREETING: Duration = Duration::from_secs(10);
/// The same for a table of runs.
const GLANCE: Duration = Duration::from_secs(1);
/// How long a command may take into the socket when the cockpit is left.
const PARTING: Duration = Duration::from_secs(2);
/// How long a trainer may take to do what is asked: it does so between two steps.
const ANSWER: Duration = Duration::from_secs(120);
/// What is likely of a process that says nothing.
const SILENT: &str = "it says nothing (is it stopped? `kill -CONT` lets a process go on)";
/// Tries to mend a broken line, and the time between two.
const TRIES: usize = 20;
const BETWEEN: Duration = Duration::from_millis(250);

/// Why a run cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No process trains it.
    #[error("{0} is not being trained: no process answers at its socket")]
    NotLive(String),
    /// It is somebody else's.
    #[error("{0} belongs to another user")]
    Denied(String),
    /// Its process says why it does not listen.
    #[error("the process that trains {run} hung up: {why}")]
    Refused {
        /// The run.
        run: String,
        /// In its words.
        why: String,
    },
    /// What is asked is longer than a host takes.
    #[error("{0}")]
    TooLong(String),
    /// The process does not answer, or not as one of ours.
    #[error("the process that trains {run} does not answer as it should: {why}")]
    Strange {
        /// The run.
        run: String,
        /// What is wrong.
        why: String,
    },
    /// It speaks another version.
    #[error("{0}")]
    Version(String),
}

/// Whether a file belongs to this user.
fn is_ours(path: &Path) -> bool {
    // The socket itself need not be there: where none can be made, none can be connected.
    let place = if path.exists() { path } else { path.parent().unwrap_or(path) };
    std::fs::metadata(place).is_ok_and(|m| m.uid() == rustix::process::geteuid().as_raw())
}

/// A line to a host.
struct Line {
    frames: FramedRead<OwnedReadHalf, LinesCodec>,
    half: OwnedWriteHalf,
    /// Our number there.
    client: u64,
    paused: bool,
    /// The host's process.
    pid: u32,
    /// Version of its program.
    version: String,
}

fn name_of(path: &Path) -> String {
    path.parent()
        .and_then(Path::file_name)
        .map(|n| in_one_line(&n.to_string_lossy()))
        .unwrap_or_default()
}

impl Line {
    async fn open(
        path: &Path,
        purpose: ClientKind,
        was: Option<u64>,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let run = name_of(path);
        let stream = connected(path, patience).await.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::NotLive(run.clone())
            }
            io::ErrorKind::PermissionDenied if is_ours(path) => ConnectError::Strange {
                run: run.clone(),
                why: format!("{e} (do sandbox rules forbid sockets?)"),
            },
            io::ErrorKind::PermissionDenied => ConnectError::Denied(run.clone()),
            io::ErrorKind::WouldBlock => {
                ConnectError::Strange { run: run.clone(), why: SILENT.into() }
            }
            _ => ConnectError::Strange { run: run.clone(), why: e.to_string() },
        })?;
        let strange = |why: String| ConnectError::Strange {
            run: run.clone(),
            why: printable(&why).into_owned(),
        };
        // Whoever may write into the directory could have put a socket there.
        if stream.peer_cred().map(|c| c.uid()).ok() != Some(rustix::process::geteuid().as_raw()) {
            return Err(ConnectError::Denied(run));
        }
        let (read, half) = stream.into_split();
        let mut line = Self {
            frames: FramedRead::new(read, client_codec(purpose)),
            half,
            client: 0,
            paused: false,
            pid: 0,
            version: String::new(),
        };
        let first = tokio::time::timeout(patience, line.frames.next()).await;
        let first = first.map_err(|_| strange(SILENT.into()))?;
        let text = match first {
            Some(text) => whole(text).map_err(|e| strange(e.to_string()))?,
            None => return Err(strange("it hung up".into())),
        };
        if let Ok(FromHost::Bye(why)) = parse(Ok(text.clone())) {
            return Err(ConnectError::Refused { run, why: printable(&why).into_owned() });
        }
        // A newer host's greeting is understood before the rest of its frame.
        #[derive(serde::Deserialize)]
        struct Anyone {
            welcome: Greeting,
        }
        let theirs =
            serde_json::from_str::<Anyone>(&text).map_err(|e| strange(e.to_string()))?.welcome;
        let (ours, they) = (Greeting::ours(), format!("the process that trains {run}"));
        if let Some(why) = ours.mismatch(&theirs, &they, "this program") {
            return Err(ConnectError::Version(printable(&why).into_owned()));
        }
        line.version = theirs.version;
        match parse::<FromHost>(Ok(text)).map_err(|e| strange(line.not_understood(&e)))? {
            FromHost::Welcome { client, paused, pid, .. } => {
                (line.client, line.paused, line.pid) = (client, paused, pid)
            }
            other => return Err(strange(format!("not a greeting: {other:?}"))),
        }
        line.send(&ToHost::Hello(Hello { greeting: ours, purpose, was }))
            .await
            .map_err(|e| ConnectError::Strange { run, why: e.to_string() })?;
        Ok(line)
    }

    /// A frame that is no frame of ours, for people: another version is the likeliest reason.
    fn not_understood(&self, why: &FrameError) -> String {
        match env!("CARGO_PKG_VERSION") {
            ours if ours == self.version => why.to_string(),
            ours => format!(
                "{why} (it is earlybird {}, this program is {ours}: use the same version)",
                self.version
            ),
        }
    }

    async fn send(&mut self, frame: &ToHost) -> io::Result<()> {
        let mut text = line(frame);
        text.push('\n');
        self.half.write_all(text.as_bytes()).await
    }
}

/// A cockpit's connection to a host.
#[derive(Debug)]
pub(super) struct Connection {
    /// The host's process.
    pub(super) pid: u32,
    /// Each with its number.
    commands: Option<mpsc::UnboundedSender<(u64, Command)>>,
    deliveries: mpsc::Receiver<Delivery>,
    thread: Option<JoinHandle<()>>,
}

/// Attaches a cockpit to the run whose socket is `path`.
///
/// # Errors
/// [`ConnectError`].
pub fn connect(path: &Path) -> Result<super::CockpitEnd, ConnectError> {
    let strange = |e: io::Error| ConnectError::Strange { run: name_of(path), why: e.to_string() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(strange)?;
    let line = runtime.block_on(Line::open(path, ClientKind::Cockpit, None, GREETING))?;
    let (commands, asked) = mpsc::unbounded_channel();
    let (delivered, deliveries) = mpsc::channel(DELIVERIES);
    let (path, pid) = (path.to_owned(), line.pid);
    let attend = move || runtime.block_on(keep_up(line, path, asked, delivered));
    let thread = std::thread::Builder::new().name("link".into()).spawn(attend).map_err(strange)?;
    Ok(super::CockpitEnd::new(super::Transport::Socket(Connection {
        pid,
        commands: Some(commands),
        deliveries,
        thread: Some(thread),
    })))
}

impl Connection {
    pub(super) fn send(&self, id: u64, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|c| c.send((id, command)).is_ok())
    }

    pub(super) async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Drop for Connection {
    /// What was asked still goes out.
    fn drop(&mut self) {
        self.commands = None;
        self.deliveries.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a conversation ended.
enum End {
    /// The cockpit was left.
    Left,
    /// The host said goodbye.
    Bye(String),
    /// The line broke.
    Broken,
}

async fn keep_up(
    mut line: Line,
    path: PathBuf,
    mut asked: mpsc::UnboundedReceiver<(u64, Command)>,
    delivered: mpsc::Sender<Delivery>,
) {
    let last = loop {
        let mut open = BTreeSet::new();
        let end = converse(&mut line, &mut asked, &mut open, &delivered).await;
        // What was carried out before the line broke is seen; that it was asked here is not known.
        unanswered(open, &delivered).await;
        match end {
            End::Left => return,
            End::Bye(why) if why == OVER => break Delivery::Closed(why),
            End::Bye(why) => break Delivery::Parted(why),
            End::Broken => {}
        }
        match mend(&path, line.client, &delivered).await {
            Ok(mended) => line = mended,
            Err(e @ ConnectError::NotLive(_)) => break Delivery::Closed(e.to_string()),
            Err(e) => break Delivery::Parted(e.to_string()),
        }
    };
    let waiting = std::iter::from_fn(|| asked.try_recv().ok()).map(|(id, _)| id).collect();
    unanswered(waiting, &delivered).await;
    let _ = delivered.send(last).await;
}

/// Tells that these requests are not answered any more.
async fn unanswered(requests: BTreeSet<u64>, delivered: &mpsc::Sender<Delivery>) {
    for id in requests {
        let _ = delivered.send(Delivery::Reply(Reply { id, record: None })).await;
    }
}

/// Opens the line again. A process that is gone is not waited for.
async fn mend(
    path: &Path,
    was: u64,
    delivered: &mpsc::Sender<Delivery>,
) -> Result<Line, ConnectError> {
    let mut tries = 0;
    loop {
        match Line::open(path, ClientKind::Cockpit, Some(was), GREETING).await {
            Err(ConnectError::Strange { .. } | ConnectError::Refused { .. })
                if tries < TRIES && !delivered.is_closed() =>
            {
                tries += 1
            }
            other => return other,
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Asks and delivers until the line ends; `open` are the requests that have no answer yet.
async fn converse(
    line: &mut Line,
    asked: &mut mpsc::UnboundedReceiver<(u64, Command)>,
    open: &mut BTreeSet<u64>,
    delivered: &mpsc::Sender<Delivery>,
) -> End {
    loop {
        tokio::select! {
            biased;
            command = asked.recv() => {
                let Some((id, command)) = command else { return End::Left };
                let request = ToHost::Request { id, command };
                if let Some(why) = too_long(&request) {
                    // whoever left needs no answer
                    let _ = delivered.send(Delivery::Notice(why)).await;
                    let _ = delivered.send(Delivery::Reply(Reply { id, record: None })).await;
                    continue;
                }
                open.insert(id);
                if !matches!(tokio::time::timeout(PARTING, line.send(&request)).await, Ok(Ok(()))) {
                    return End::Broken;
                }
            }
            frame = line.frames.next() => {
                let Some(Ok(text)) = frame else { return End::Broken };
                let delivery = match parse::<FromHost>(Ok(text)) {
                    // The same would come over a new line.
                    Err(why) => return End::Bye(format!("a message from the process that trains it \
                                                         is {}", line.not_understood(&why))),
                    Ok(FromHost::Snapshot(dashboard)) => Delivery::Snapshot(dashboard),
                    Ok(FromHost::Record(record)) => Delivery::Record(record),
                    Ok(FromHost::Notice(text)) => Delivery::Notice(printable(&text).into_owned()),
                    Ok(FromHost::Bye(why)) => return End::Bye(printable(&why).into_owned()),
                    Ok(FromHost::Answer { id, record }) => {
                        open.remove(&id);
                        Delivery::Reply(Reply { id, record })
                    }
                    Ok(FromHost::Welcome { .. }) => continue,
                };
                if delivered.send(delivery).await.is_err() && asked.is_closed() {
                    return End::Left;
                }
            }
        }
    }
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// The record that answers it.
    Record(Box<Record>),
    /// Nothing came: the trainer ended, or had too many waiting; why, where it said so.
    Nothing(Option<String>),
}

/// Asks the run whose socket is `path` for one thing, and waits for the answer.
///
/// # Errors
/// [`ConnectError`].
pub fn ask(path: &Path, command: Command) -> Result<Answered, ConnectError> {
    let strange = |e: io::Error| ConnectError::Strange { run: name_of(path), why: e.to_string() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(strange)?;
    let request = ToHost::Request { id: 1, command };
    if let Some(why) = too_long(&request) {
        return Err(ConnectError::TooLong(why));
    }
    runtime.block_on(async {
        let mut line = Line::open(path, ClientKind::Ask, None, GREETING).await?;
        line.send(&request).await.map_err(strange)?;
        let answered = tokio::time::timeout(ANSWER, answer(&mut line)).await;
        let why = match answered {
            Ok(Ok(answered)) => return Ok(answered),
            Ok(Err(e)) => e.to_string(),
            Err(_) => {
                let seconds = ANSWER.as_secs();
                format!("no answer within {seconds} s; it may still do what was asked")
            }
        };
        Err(ConnectError::Strange { run: name_of(path), why })
    })
}

/// What the host says to the only question.
async fn answer(line: &mut Line) -> Result<Answered, FrameError> {
    let mut said = None;
    while let Some(frame) = line.frames.next().await {
        match parse::<FromHost>(frame)? {
            FromHost::Answer { record: Some(record), .. } => {
                return Ok(Answered::Record(Box::new(record)));
            }
            FromHost::Answer { record: None, .. } => break,
            FromHost::Notice(text) => said = Some(printable(&text).into_owned()),
            FromHost::Bye(why) => {
                said = Some(printable(&why).into_owned());
                break;
            }
            _ => {}
        }
    }
    Ok(Answered::Nothing(said))
}

/// Opens the socket. A host that is stopped takes nobody on when many wait already: that is not
/// waited for in the kernel, which would take for ever.
async fn connected(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let (short, _directory) = short_path(path)?;
    let began = tokio::time::Instant::now();
    loop {
        match UnixStream::connect(&short).await {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && began.elapsed() < patience => {
                tokio::time::sleep(BETWEEN).await;
            }
            connected => return connected,
        }
    }
}

/// Whether a process answers at the socket `path` of a run: `None` if not, else whether the run is
/// paused (false as well when it does not say).
pub fn probe(path: &Path) -> Option<bool> {
    probe_all(&[path.to_owned()]).pop().flatten()
}

/// Whether a process listens at the socket `path`, greeting or not. One that is stopped may have
/// more waiting than it takes: it listens, and is not waited for.
pub fn is_served(path: &Path) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    match runtime.block_on(connected(path, Duration::ZERO)) {
        Ok(_) => true,
        Err(e) => e.kind() == io::ErrorKind::WouldBlock,
    }
}

/// The same of many sockets, all asked at once.
pub fn probe_all(paths: &[PathBuf]) -> Vec<Option<bool>> {
    let ask = |path: PathBuf| async move {
        match Line::open(&path, ClientKind::Ask, None, GLANCE).await {
            Ok(line) => Some(line.paused),
            Err(ConnectError::NotLive(_) | ConnectError::Denied(_)) => None,
            Err(_) => Some(false),
        }
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let asked: Vec<_> = paths.iter().cloned().map(|path| tokio::spawn(ask(path))).collect();
            let mut answers = Vec::with_capacity(asked.len());
            for answer in asked {
                answers.push(answer.await.unwrap_or(None));
            }
            answers
        }),
        Err(_) => vec![None; paths.len()],
    }
}
