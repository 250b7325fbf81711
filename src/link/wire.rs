//! What goes over a run's socket: JSON, one frame a line, each of bounded length. Host and client
//! greet each other with the version of this protocol first.

use crate::dashboard::Dashboard;
use crate::protocol::{Command, Record};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{LinesCodec, LinesCodecError};

/// Version of what goes over the socket. A frame that an older side would misread raises it.
pub const PROTOCOL: u32 = 3;

/// Longest frame that a host takes, in bytes: a command with a long note.
const TO_HOST: usize = 64 << 10;
/// Longest frame that a cockpit takes: the dashboard of a run with 1,000 classes and thousands of
/// epochs.
const TO_COCKPIT: usize = 512 << 20;
/// Longest frame that somebody takes who only asks: a record, a few arrays of 1,000 classes.
const TO_ASKER: usize = 16 << 20;

/// What a host says last when nothing more is to come. Whatever else it says last is about the
/// line.
pub(super) const OVER: &str = "the run is over";

/// How both sides greet, whatever their version: these members never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Version of the protocol.
    pub protocol: u32,
    /// Version of the program, for people.
    pub version: String,
}

impl Greeting {
    /// That of this program.
    pub fn ours() -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// What to do about another side that speaks another version; `None` for the same one. `they`
    /// is what people call it.
    pub fn mismatch(&self, theirs: &Self, they: &str, we: &str) -> Option<String> {
        let update = match self.protocol.cmp(&theirs.protocol) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Less => we,
            std::cmp::Ordering::Greater => they,
        };
        Some(format!(
            "{they} speaks version {} of the protocol (earlybird {}), {we} speaks version {} \
             (earlybird {}): update {update}",
            theirs.protocol, theirs.version, self.protocol, self.version
        ))
    }
}

/// The first frame of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its version.
    #[serde(flatten)]
    pub greeting: Greeting,
    /// What it wants.
    pub purpose: ClientKind,
    /// The number it had before its line broke, if it is back.
    #[serde(default)]
    pub was: Option<u64>,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// To be shown everything, and to steer.
    Cockpit,
    /// To ask for something and be answered.
    Ask,
}

/// Frames of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToHost {
    /// The first one.
    Hello(Hello),
    /// Something is asked.
    Request {
        /// The client's own number for it.
        id: u64,
        /// What.
        command: Command,
    },
}

/// Frames of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromHost {
    /// The first one.
    Welcome {
        /// Its version.
        #[serde(flatten)]
        greeting: Greeting,
        /// The run.
        run: String,
        /// Process of the host.
        pid: u32,
        /// The client's number, should its line break.
        client: u64,
        /// Whether the run is paused.
        paused: bool,
    },
    /// See [`Delivery::Snapshot`](super::Delivery::Snapshot).
    Snapshot(Box<Dashboard>),
    /// See [`Delivery::Record`](super::Delivery::Record).
    Record(Record),
    /// The record that answers a request.
    Answer {
        /// The client's number for the request.
        id: u64,
        /// `None`: the trainer ended, or had too many waiting.
        record: Option<Record>,
    },
    /// Something about the link, for people.
    Notice(String),
    /// The last frame: why no more will come.
    Bye(String),
}

/// Frames as a host reads them.
pub(super) fn host_codec() -> LinesCodec {
    LinesCodec::new_with_max_length(TO_HOST)
}

/// Frames as a client reads them.
pub(super) fn client_codec(purpose: ClientKind) -> LinesCodec {
    LinesCodec::new_with_max_length(match purpose {
        ClientKind::Cockpit => TO_COCKPIT,
        ClientKind::Ask => TO_ASKER,
    })
}

/// Why a host would not take this frame, or `None`.
pub(super) fn too_long(frame: &ToHost) -> Option<String> {
    let bytes = line(frame).len();
    (bytes > TO_HOST).then(|| {
        let most = TO_HOST >> 10;
        format!("too long, so it was not sent: {bytes} bytes, and a command has at most {most} KiB")
    })
}

/// Why no host would take this, or `None`.
pub fn refusal(command: &Command) -> Option<String> {
    too_long(&ToHost::Request { id: 0, command: command.clone() })
}

/// A frame as a line. The types hold nothing that JSON cannot.
pub(super) fn line(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame is longer than allowed")]
    TooLong,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("not understood: {0}")]
    NotUnderstood(#[from] serde_json::Error),
}

/// A line that was read.
pub(super) fn whole(line: Result<String, LinesCodecError>) -> Result<String, FrameError> {
    line.map_err(|e| match e {
        LinesCodecError::MaxLineLengthExceeded => FrameError::TooLong,
        LinesCodecError::Io(e) => e.into(),
    })
}

/// The frame that a line is.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(
    line: Result<String, LinesCodecError>,
) -> Result<T, FrameError> {
    Ok(serde_json::from_str(&whole(line)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, Phase};

    #[test]
    fn every_kind_of_frame_reads_back() {
        let mut dashboard = Dashboard::default();
        dashboard.fold(Record {
            seq: 1,
            t: 0.5,
            event: Event::Phase { epoch: 1, phase: Phase::Pretrain },
        });
        let record = Record {
            seq: 2,
            t: 1.0,
            event: Event::Note { text: "\"quoted\"\nsecond line".into() },
        };
        let frames = [
            FromHost::Welcome {
                greeting: Greeting::ours(),
                run: "demo-001".into(),
                pid: 1,
                client: 7,
                paused: true,
            },
            FromHost::Snapshot(Box::new(dashboard)),
            FromHost::Record(record.clone()),
            FromHost::Answer { id: 3, record: Some(record) },
            FromHost::Bye("over".into()),
        ];
        for frame in frames {
            let text = line(&frame);
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(parse::<FromHost>(Ok(text)).expect("reads"), frame);
        }
    }

    #[test]
    fn a_mismatch_says_which_side_to_update() {
        let (old, new) = (
            Greeting { protocol: 1, version: "0.1.0".into() },
            Greeting { protocol: 2, version: "0.9.0".into() },
        );
        assert_eq!(old.mismatch(&old, "the run", "this program"), None);
        assert!(
            old.mismatch(&new, "the run", "this program")
                .is_some_and(|t| t.ends_with("update this program"))
        );
        assert!(
            new.mismatch(&old, "the run", "this program")
                .is_some_and(|t| t.ends_with("update the run"))
        );
    }
}
