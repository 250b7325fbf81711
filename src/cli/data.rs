//! `earlybird data`: list, fetch, check, pack.

use super::arguments::PackArgs;
use super::{Outcome, complain, say};
use crate::cache::cache_dir;
use crate::data::{
    self, DataConfig, Download, Origin, PATIENCE, Packing, Progress, Remote, Source,
};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// `earlybird data list`
pub(super) fn list() -> Outcome {
    say(format!("{:<15} {:<68} here", "data.source", "what"));
    for source in Source::ALL {
        let (name, about) = (source.name(), source.about());
        let here = match source.origin() {
            Origin::Program => "yes".to_owned(),
            Origin::Own(_) => "-".to_owned(),
            Origin::Published(_) => source.locate().map_or_else(
                || format!("no: earlybird data fetch {name}"),
                |p| p.display().to_string(),
            ),
        };
        say(format!("{name:<15} {about:<68} {here}"));
    }
    say(format!("\nDownloads go to {}", cache_dir().display()));
    Outcome::Done
}

/// Sources that can be fetched, with their files.
pub(super) fn published() -> impl Iterator<Item = (Source, Vec<Remote>)> {
    Source::ALL.iter().filter_map(|source| match source.origin() {
        Origin::Published(remotes) => Some((*source, remotes)),
        Origin::Program | Origin::Own(_) => None,
    })
}

/// `earlybird data fetch NAME`
pub(super) fn fetch(name: &str) -> Outcome {
    let Some(source) = Source::ALL.iter().find(|source| source.name() == name) else {
        let names: Vec<&str> = published().map(|(source, _)| source.name()).collect();
        let known = match names.split_last() {
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => "none".to_owned(),
        };
        complain(format!("unknown data set \"{name}\"\n  Known are {known}."));
        return Outcome::Usage;
    };
    let Origin::Published(remotes) = source.origin() else {
        say(format!("{name} needs no download."));
        return Outcome::Done;
    };
    for remote in remotes {
        let mut line = ProgressLine::default();
        let fetched = data::download(&remote, &cache_dir(), PATIENCE, &mut |p| line.show(&p));
        line.end();
        match fetched {
            Ok(Download::Present(path)) => {
                say(format!("{} is here, checksum right", path.display()))
            }
            Ok(Download::Fetched(path)) => {
                say(format!("{} fetched, checksum right", path.display()))
            }
            Err(e) => {
                complain(e);
                return Outcome::Failed;
            }
        }
    }
    Outcome::Done
}

/// `earlybird data check PATH`: done for a set of which nothing is lost, else failed.
pub(super) fn check(path: &Path) -> Outcome {
    let mut line = ProgressLine::default();
    let read = data::check(path, &mut |p| line.show(&p));
    line.end();
    let (data, source) = match read {
        Ok(read) => read,
        Err(e) => {
            complain(e);
            return Outcome::Failed;
        }
    };
    let [c, h, w] = data.shape;
    let classes = data.classes.len();
    let (mean, std) = data.mean_std();
    say(format!(
        "{}: {} training and {} test images, {h}x{w}, {c} channel(s), {classes} classes",
        data.name,
        data.train.len(),
        data.test.len()
    ));
    say(format!("mean {mean:.4?}, standard deviation {std:.4?} (of 0..1)"));
    let counts = data.train.class_counts(classes).into_iter().zip(data.test.class_counts(classes));
    for (name, (train, test)) in data.classes.iter().zip(counts) {
        say(format!("  {name:<24} {train:>8} {test:>8}"));
    }
    if source == Source::Folder {
        let side = DataConfig::default().image_size;
        say(format!(
            "Images were scaled to {side}x{side} for this check; data.image_size sets it."
        ));
    }
    data.findings.iter().for_each(|finding| complain(format!("warning: {}", finding.text())));
    if data.findings.iter().any(data::Finding::is_loss) { Outcome::Failed } else { Outcome::Done }
}

/// `earlybird data pack FOLDER --to FILE`
pub(super) fn pack(args: &PackArgs) -> Outcome {
    let mut line = ProgressLine::default();
    let begun = Instant::now();
    let PackArgs { short_side, raw, skip_broken, .. } = *args;
    let packing = Packing { short_side, raw, skip_broken };
    let packed = data::pack(&args.folder, &args.to, packing, &mut |p| line.show(&p));
    line.end();
    let packed = match packed {
        Ok(packed) => packed,
        Err(e) => {
            complain(e);
            return Outcome::Failed;
        }
    };
    let [train, test] = packed.images;
    let seconds = begun.elapsed().as_secs_f64().max(1e-9);
    let anew = match packed.rewritten {
        0 => String::new(),
        images => format!(", {images} of them written anew"),
    };
    say(format!(
        "{}: {train} training and {test} test images of {} classes{anew}; {:.1} MB in {seconds:.1} \
         s, {:.0} images/s",
        args.to.display(),
        packed.classes.len(),
        packed.bytes as f64 / 1e6,
        (train + test) as f64 / seconds
    ));
    say(format!("Train on it: data.source = \"packed\", data.path = \"{}\"", args.to.display()));
    packed.findings.iter().for_each(|finding| complain(format!("warning: {}", finding.text())));
    Outcome::Done
}

/// How long images are read before a word is said of it.
const UNSAID: Duration = Duration::from_millis(500);

/// One line that shows how far data on its way is; on a terminal rewritten in place, else one line
/// per ten seconds.
#[derive(Debug)]
pub(super) struct ProgressLine {
    begun: Instant,
    /// When the first image was waited for.
    reading: Instant,
    shown: Option<Instant>,
    last: Option<Progress>,
}

impl Default for ProgressLine {
    fn default() -> Self {
        let now = Instant::now();
        Self { begun: now, reading: now, shown: None, last: None }
    }
}

impl ProgressLine {
    pub(super) fn show(&mut self, progress: &Progress) {
        let terminal = std::io::stderr().is_terminal();
        let pause = match progress {
            Progress::Waiting { .. } => Duration::ZERO,
            _ if terminal => Duration::from_millis(100),
            _ => Duration::from_secs(10),
        };
        if matches!(progress, Progress::Images { done: 0, .. }) {
            self.reading = Instant::now();
        }
        if self.shown.is_none()
            && matches!(progress, Progress::Images { .. })
            && self.begun.elapsed() < UNSAID
        {
            return;
        }
        self.last = Some(progress.clone());
        if self.shown.is_none_or(|t| t.elapsed() >= pause) {
            self.shown = Some(Instant::now());
            self.print(progress, terminal);
        }
    }

    pub(super) fn end(&mut self) {
        if let Some(last) = self.last.take() {
            self.print(&last, std::io::stderr().is_terminal());
            let _ = writeln!(std::io::stderr());
        }
    }

    fn print(&self, progress: &Progress, terminal: bool) {
        let line = line_of(progress, self.reading.elapsed());
        let mut err = std::io::stderr();
        let _ = if terminal { write!(err, "\r{line}\x1b[K") } else { writeln!(err, "{line}") };
    }
}

/// `reading`: for how long images have been read.
fn line_of(progress: &Progress, reading: Duration) -> String {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let percent = |done: u64, of: u64| 100.0 * done as f64 / of.max(1) as f64;
    match progress {
        Progress::Download { file, done, of: Some(of) } => {
            format!("{file}: {:.1} MB of {:.1} MB, {:.0}%", mb(*done), mb(*of), percent(*done, *of))
        }
        Progress::Download { file, done, of: None } => format!("{file}: {:.1} MB", mb(*done)),
        Progress::Waiting { file } => format!("{file}: another process is fetching it; waiting"),
        Progress::Images { from, done, of } => {
            let pace = pace(*done, *of, reading);
            format!("loading images of {from}: {done} of {of}, {:.0}%{pace}", percent(*done, *of))
        }
    }
}

/// How many images a second, and how long the rest takes at that pace; nothing where too few were
/// read to say so.
fn pace(done: u64, of: u64, reading: Duration) -> String {
    if done == 0 || reading < UNSAID {
        return String::new();
    }
    let rate = done as f64 / reading.as_secs_f64();
    let seconds = (of.saturating_sub(done) as f64 / rate).ceil() as u64;
    let left = match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => return format!(", {rate:.0}/s"),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    };
    format!(", {rate:.0}/s, {left} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_images_says_how_fast_they_are_read_and_how_long_the_rest_takes() {
        let line = |done, of, seconds| {
            let from = "photos".to_owned();
            line_of(&Progress::Images { from, done, of }, Duration::from_secs(seconds))
        };
        assert_eq!(line(0, 900, 5), "loading images of photos: 0 of 900, 0%");
        assert_eq!(line(300, 900, 0), "loading images of photos: 300 of 900, 33%");
        assert_eq!(
            [line(300, 900, 3), line(300, 10_000, 3), line(352, 1_281_167, 1), line(9, 9, 3)],
            [
                "loading images of photos: 300 of 900, 33%, 100/s, 6 s left",
                "loading images of photos: 300 of 10000, 3%, 100/s, 1 min 37 s left",
                "loading images of photos: 352 of 1281167, 0%, 352/s, 1 h 0 min left",
                "loading images of photos: 9 of 9, 100%, 3/s"
            ]
        );
    }
}
