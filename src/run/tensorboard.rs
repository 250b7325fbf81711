//! TensorBoard's event files in a run's directory: the same events, as scalars, histograms and
//! images. Written for TensorBoard only; nothing here reads them back.

use super::RunDirectory;
use crate::data;
use crate::importance::Pick;
use crate::protocol::{EpochSummary, Event, Record, WeightsSummary};
use crate::train::SampleSheet;
use prost::Message;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Images of each kind and class.
const PICTURES: usize = 8;
/// Classes that have curves and images of their own at most.
const CLASSES: usize = 100;

/// TensorFlow's `event.proto` and `summary.proto`, as far as they are written here.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Event {
        #[prost(double, tag = "1")]
        pub wall_time: f64,
        #[prost(int64, tag = "2")]
        pub step: i64,
        #[prost(oneof = "What", tags = "3, 5, 7")]
        pub what: Option<What>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum What {
        #[prost(string, tag = "3")]
        FileVersion(String),
        #[prost(message, tag = "5")]
        Summary(Summary),
        #[prost(message, tag = "7")]
        SessionLog(SessionLog),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct SessionLog {
        #[prost(int32, tag = "1")]
        pub status: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Summary {
        #[prost(message, repeated, tag = "1")]
        pub value: Vec<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Value {
        #[prost(string, tag = "1")]
        pub tag: String,
        #[prost(oneof = "Content", tags = "2, 4, 5")]
        pub content: Option<Content>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Content {
        #[prost(float, tag = "2")]
        Scalar(f32),
        #[prost(message, tag = "4")]
        Image(Image),
        #[prost(message, tag = "5")]
        Histogram(Histogram),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Image {
        #[prost(int32, tag = "1")]
        pub height: i32,
        #[prost(int32, tag = "2")]
        pub width: i32,
        #[prost(int32, tag = "3")]
        pub channels: i32,
        #[prost(bytes = "vec", tag = "4")]
        pub png: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Histogram {
        #[prost(double, tag = "1")]
        pub min: f64,
        #[prost(double, tag = "2")]
        pub max: f64,
        #[prost(double, tag = "3")]
        pub count: f64,
        #[prost(double, tag = "4")]
        pub sum: f64,
        #[prost(double, tag = "5")]
        pub sum_squares: f64,
        #[prost(double, repeated, tag = "6")]
        pub bucket_limit: Vec<f64>,
        #[prost(double, repeated, tag = "7")]
        pub bucket: Vec<f64>,
    }
}

use proto::{Content, What};

/// SessionLog's START: what an earlier file says of this step and later ones is void.
const START: i32 = 1;

/// An event file being written.
#[derive(Debug)]
pub struct TensorBoard {
    directory: RunDirectory,
    file: Option<File>,
    classes: Vec<String>,
    /// Steps of an epoch, and steps done in all: TensorBoard's axis.
    steps: usize,
    step: i64,
}

impl TensorBoard {
    /// Into `directory`; the file is made with the first event.
    pub fn new(directory: RunDirectory) -> Self {
        Self { directory, file: None, classes: Vec::new(), steps: 1, step: 0 }
    }

    /// Takes what happened, as far as TensorBoard has a place for it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        match &record.event {
            Event::RunStarted { data, config, .. } => {
                self.steps = config.train.steps_per_epoch(data.train);
                self.classes = data.classes.iter().take(CLASSES).cloned().collect();
                Ok(())
            }
            Event::Continued { epoch, step, steps, .. } => {
                // What was told of this step stands.
                self.step = self.at(epoch + 1, *step, *steps) + 1;
                self.write(What::SessionLog(proto::SessionLog { status: START }))
            }
            Event::Step { epoch, step, steps, loss, lr, images_per_s, grad_norm } => {
                self.step = self.at(*epoch, *step, *steps);
                let scalars = [
                    Some(("train/loss", *loss)),
                    Some(("train/lr", *lr)),
                    Some(("train/images_per_s", *images_per_s)),
                    grad_norm.map(|norm| ("train/grad_norm", norm)),
                ];
                let scalars = scalars.into_iter().flatten();
                self.scalars(scalars.map(|(tag, v)| (tag.to_owned(), v)).collect())
            }
            Event::EpochEnd(e) => {
                self.step = (e.epoch * self.steps) as i64;
                self.scalars(self.of_epoch(e))
            }
            Event::Tested { model, accuracy, loss, .. } => {
                let which = model.word();
                self.scalars(vec![
                    (format!("test/accuracy_{which}"), *accuracy),
                    (format!("test/loss_{which}"), *loss),
                ])
            }
            Event::Weights(w) => self.histograms(w),
            _ => Ok(()),
        }
    }

    /// The place of a step of `epoch`, counted from 1. An epoch that draws fewer images has fewer
    /// steps, and as much room.
    fn at(&self, epoch: usize, step: usize, steps: usize) -> i64 {
        (epoch.saturating_sub(1) * self.steps + step * self.steps / steps.max(1)) as i64
    }

    /// Takes images of the hardest and the easiest samples of each class.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn pictures(&mut self, sheet: &SampleSheet) -> io::Result<()> {
        let [channels, height, width] = sheet.pictures.shape;
        let mut value = Vec::new();
        for (kind, pick) in [("hardest", Pick::Hardest), ("easiest", Pick::Easiest)] {
            for (c, class) in self.classes.iter().enumerate() {
                let of_class = sheet.samples.iter().filter(|s| s.class as usize == c);
                let samples = pick.of(of_class, PICTURES);
                let images: Vec<&[u8]> =
                    samples.iter().filter_map(|s| sheet.pictures.of(s.index)).collect();
                if images.is_empty() {
                    continue;
                }
                let image = proto::Image {
                    height: height as i32,
                    width: (images.len() * (width + 1) - 1) as i32,
                    channels: if channels == 3 { 3 } else { 1 },
                    png: data::strip(&images, sheet.pictures.shape, 1)?,
                };
                value.push(proto::Value {
                    tag: format!("{kind}/{class}"),
                    content: Some(Content::Image(image)),
                });
            }
        }
        self.write(What::Summary(proto::Summary { value }))
    }

    fn of_epoch(&self, e: &EpochSummary) -> Vec<(String, f64)> {
        let on = e.measured.on.word();
        let mut out = vec![
            ("epoch/train_loss".to_owned(), e.train_loss),
            (format!("{on}/loss"), e.measured.loss),
            (format!("{on}/accuracy"), e.measured.accuracy),
            ("epoch/balance".to_owned(), e.balance),
            ("epoch/coverage".to_owned(), e.coverage),
            ("epoch/effective_sample_size".to_owned(), e.ess),
            ("epoch/seconds".to_owned(), e.seconds),
        ];
        out.extend(e.grad_norm.map(|norm| ("epoch/grad_norm".to_owned(), norm)));
        if let Some(average) = e.average {
            out.push((format!("{on}/loss_average"), average.loss));
            out.push((format!("{on}/accuracy_average"), average.accuracy));
        }
        out.extend(e.settled.map(|settled| ("epoch/settled".to_owned(), settled)));
        let draws = e.drawn.iter().sum::<u64>().max(1) as f64;
        for (class, (recall, drawn)) in self.classes.iter().zip(e.recall.iter().zip(&e.drawn)) {
            out.push((format!("recall/{class}"), *recall));
            out.push((format!("draw_share/{class}"), *drawn as f64 / draws));
        }
        out
    }

    fn scalars(&mut self, scalars: Vec<(String, f64)>) -> io::Result<()> {
        let value = |(tag, v): (String, f64)| proto::Value {
            tag,
            content: Some(Content::Scalar(v as f32)),
        };
        self.write(What::Summary(proto::Summary {
            value: scalars.into_iter().map(value).collect(),
        }))
    }

    fn histograms(&mut self, w: &WeightsSummary) -> io::Result<()> {
        let both = [
            ("weights/importance", &w.edges, &w.counts),
            ("weights/expected_draws", &w.draw_edges, &w.draw_counts),
        ];
        let value =
            both.into_iter().filter(|(_, edges, _)| edges.len() > 1).map(|(tag, edges, counts)| {
                let mids = edges.windows(2).map(|e| f64::from(e[0] + e[1]) / 2.0);
                let weighted = |power: i32| {
                    mids.clone().zip(counts).map(|(m, c)| m.powi(power) * *c as f64).sum::<f64>()
                };
                let histogram = proto::Histogram {
                    min: f64::from(edges[0]),
                    max: f64::from(edges[edges.len() - 1]),
                    count: weighted(0),
                    sum: weighted(1),
                    sum_squares: weighted(2),
                    bucket_limit: edges[1..].iter().map(|e| f64::from(*e)).collect(),
                    bucket: counts.iter().map(|c| *c as f64).collect(),
                };
                proto::Value { tag: tag.to_owned(), content: Some(Content::Histogram(histogram)) }
            });
        let value = value.collect();
        self.write(What::Summary(proto::Summary { value }))
    }

    fn write(&mut self, what: What) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event =
            |what, step| proto::Event { wall_time: now.as_secs_f64(), step, what: Some(what) };
        if self.file.is_none() {
            // Names sort by time, as TensorBoard reads them; a run that goes on is another process.
            let name = format!(
                "events.out.tfevents.{:010}.earlybird.{}",
                now.as_secs(),
                std::process::id()
            );
            let mut file =
                OpenOptions::new().create(true).append(true).open(self.directory.file(&name))?;
            file.write_all(&framed(
                &event(What::FileVersion("brain.Event:2".into()), 0).encode_to_vec(),
            ))?;
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(&framed(&event(what, self.step).encode_to_vec()))
    }
}

/// TFRecord's frame: length, its checksum, the bytes, their checksum.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), bytes, &masked(bytes)].concat()
}

/// TensorFlow's masked CRC-32C.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_never_go_back_where_epochs_have_fewer_of_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let board = TensorBoard { steps: 128, ..TensorBoard::new(RunDirectory::open(dir.path())) };
        // Three epochs of 128 steps, then some of 64 and of 97.
        let lengths = [128, 128, 128, 64, 97, 64];
        let mut last = 0;
        for (epoch, steps) in (1..).zip(lengths) {
            for step in 1..=steps {
                let at = board.at(epoch, step, steps);
                assert!(at >= last, "{at} after {last}");
                last = at;
            }
            assert_eq!(last, 128 * epoch as i64);
        }
    }

    #[test]
    fn a_frame_is_tensorflow_s() {
        let frame = framed(b"earlybird");
        assert_eq!(frame.len(), 8 + 4 + 9 + 4);
        assert_eq!(&frame[..8], &9_u64.to_le_bytes());
        // CRC-32C of "123456789" is 0xe3069283.
        assert_eq!(
            masked(b"123456789"),
            0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
        );
    }
}
