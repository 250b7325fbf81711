//! What a report is about, read from journals.

use super::ReportError;
use crate::compare::{Design, Outcome};
use crate::config::RunConfig;
use crate::dashboard::Dashboard;
use crate::protocol::{DataSummary, EpochSummary, Event, Topic, Verb, WeightsSummary};
use crate::run::{self, RunDirectory};
use crate::train::SampleSheet;
use std::collections::HashSet;

/// Everything in a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Name of the comparison, or of the runs.
    pub title: String,
    /// The arms of a comparison, or the runs.
    pub arms: Vec<ArmFigures>,
    /// The comparison's table, if it is one.
    pub outcome: Option<Outcome>,
    /// What it was made with, by name.
    pub facts: Vec<(String, String)>,
    /// The config.
    pub config: RunConfig,
    /// The data.
    pub data: DataSummary,
    /// What became of the samples of one run, where that is kept.
    pub samples: Option<SamplesOfRun>,
}

/// What became of the samples of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplesOfRun {
    /// The arm, or the run.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// The samples.
    pub sheet: SampleSheet,
}

/// One arm, or one run.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmFigures {
    /// Its name.
    pub name: String,
    /// By seed; at least one.
    pub seeds: Vec<SeedFigures>,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedFigures {
    /// Where it is kept.
    pub directory: RunDirectory,
    /// Its seed.
    pub seed: u64,
    /// Pretraining epochs, E, as they were in the end.
    pub pretrain_epochs: usize,
    /// Its epochs; at least one.
    pub epochs: Vec<EpochSummary>,
    /// Its weights, once there were some.
    pub weights: Option<WeightsSummary>,
    /// What was changed: in which epoch, and what, in words.
    pub changes: Vec<(usize, String)>,
}

impl Subject {
    /// What `directories` hold: one comparison, or any runs side by side.
    ///
    /// # Errors
    /// [`ReportError::Io`], [`ReportError::Empty`].
    pub fn of(directories: &[RunDirectory]) -> Result<Self, ReportError> {
        let title = directories.iter().map(RunDirectory::id).collect::<Vec<_>>().join(", ");
        let outcome = match directories {
            [one] => comparison(one)?,
            _ => None,
        };
        let mut read = Vec::new();
        match &outcome {
            Some(o) => {
                for arm in &o.arms {
                    for seed in &arm.seeds {
                        let part = directories[0].part(&[&format!("seed-{}", seed.seed), &arm.arm]);
                        read.push((arm.arm.clone(), Story::of(&part)?, part));
                    }
                }
            }
            None => {
                for directory in directories {
                    read.push((directory.id(), Story::of(directory)?, directory.clone()));
                }
            }
        }
        let mut arms: Vec<ArmFigures> = Vec::new();
        let mut first = None;
        for (name, story, directory) in read {
            let Some(data) =
                story.dashboard.data.clone().filter(|_| !story.dashboard.epochs.is_empty())
            else {
                continue;
            };
            first.get_or_insert_with(|| {
                let mut facts = story.facts.clone();
                facts.extend(settled_fact(&story.dashboard));
                (data, story.dashboard.config.clone(), facts)
            });
            let figures = story.figures(directory);
            match arms.iter_mut().find(|a| a.name == name) {
                Some(arm) => arm.seeds.push(figures),
                None => arms.push(ArmFigures { name, seeds: vec![figures] }),
            }
        }
        let (data, config, mut facts) = first.ok_or_else(|| ReportError::Empty(title.clone()))?;
        let mut seeds: Vec<u64> =
            arms.iter().flat_map(|a| a.seeds.iter().map(|s| s.seed)).collect();
        seeds.sort_unstable();
        seeds.dedup();
        facts.push((
            "seeds".into(),
            seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        ));
        let config = outcome.as_ref().map_or(config, |o| o.config.clone());
        let mut subject = Self { title, arms, outcome, facts, config, data, samples: None };
        subject.samples = subject.samples_of_shown()?;
        Ok(subject)
    }

    /// The arm that figures of one arm show: the method, if it is among them.
    pub(super) fn shown<'a>(
        arms: impl DoubleEndedIterator<Item = &'a ArmFigures> + Clone,
    ) -> Option<&'a ArmFigures> {
        arms.clone().find(|a| a.name.starts_with("biased")).or_else(|| arms.last())
    }

    fn samples_of_shown(&self) -> Result<Option<SamplesOfRun>, ReportError> {
        let weighed = self.arms.iter().filter(|a| a.seeds[0].weights.is_some());
        let Some(arm) = Self::shown(weighed) else { return Ok(None) };
        let SeedFigures { seed, directory, .. } = &arm.seeds[0];
        let sheet = run::read_samples(directory);
        let sheet = sheet
            .map_err(|source| ReportError::Io { path: directory.file("importance.csv"), source })?;
        Ok(sheet.map(|sheet| SamplesOfRun { arm: arm.name.clone(), seed: *seed, sheet }))
    }
}

/// The outcome of a comparison; `None` when this is no comparison.
fn comparison(directory: &RunDirectory) -> Result<Option<Outcome>, ReportError> {
    if !directory.file("comparison.json").exists() {
        return Ok(None);
    }
    let path = directory.file("outcome.json");
    let text = std::fs::read(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => ReportError::Empty(format!(
            "{} (not finished: compare --resume goes on)",
            directory.id()
        )),
        _ => ReportError::Io { path: path.clone(), source: e },
    })?;
    let unreadable = |source| ReportError::Io { path: path.clone(), source };
    let outcome: Outcome = serde_json::from_slice(&text).map_err(|e| unreadable(e.into()))?;
    let file = directory.file("comparison.json");
    let design = Design::of(directory).map_err(|source| ReportError::Io { path: file, source })?;
    match stranger(&outcome, &design) {
        None => Ok(Some(outcome)),
        Some(why) => Err(unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, why))),
    }
}

/// What an outcome tells of that was not compared: its runs may be anywhere, or nowhere.
fn stranger(outcome: &Outcome, design: &Design) -> Option<String> {
    let mut told = HashSet::new();
    outcome.arms.iter().find_map(|arm| {
        if !design.arms.iter().any(|(name, _)| *name == arm.arm) {
            return Some(format!("no arm of the comparison is called {:?}", arm.arm));
        }
        arm.seeds.iter().map(|s| s.seed).find_map(|seed| {
            let is_known = design.seeds.contains(&seed);
            (!is_known || !told.insert((&arm.arm, seed)))
                .then(|| format!("{} with seed {seed} is no run of it, or there twice", arm.arm))
        })
    })
}

/// How settled the importance was at E, and which E comes of that.
fn settled_fact(d: &Dashboard) -> Option<(String, String)> {
    let found = d.settling()?;
    let (settled, threshold) = (found.settled, found.threshold);
    let e = match d.found_e() {
        Some(why) => format!("E = {} was found: {}", d.pretrain_epochs(), why.words()),
        None => format!("E = auto would be {}", found.e.words()),
    };
    let value = format!("{settled:.3} at E, threshold {threshold:.2}; {e}");
    Some(("importance settled".to_owned(), value))
}

/// A journal, folded.
struct Story {
    dashboard: Dashboard,
    changes: Vec<(usize, String)>,
    facts: Vec<(String, String)>,
}

impl Story {
    fn of(directory: &RunDirectory) -> Result<Self, ReportError> {
        let path = directory.file("journal.jsonl");
        let records =
            run::read_without_steps(&path).map_err(|source| ReportError::Io { path, source })?;
        let mut story =
            Self { dashboard: Dashboard::default(), changes: Vec::new(), facts: Vec::new() };
        for record in records {
            match &record.event {
                Event::RunStarted { device, versions, data, model, .. } => {
                    let shape = data.shape;
                    let mut facts = vec![
                        (
                            "data".to_owned(),
                            format!(
                                "{}, {} training and {} test images, {}x{}x{}",
                                data.name, data.train, data.test, shape[0], shape[1], shape[2]
                            ),
                        ),
                        (
                            "model".to_owned(),
                            format!("{}, {} parameters", model.name, model.parameters),
                        ),
                        ("device".to_owned(), device.clone()),
                    ];
                    facts.extend(versions.iter().cloned());
                    story.facts = facts;
                }
                Event::Continued { epoch, .. } => story.changes.retain(|(at, _)| at <= epoch),
                Event::Changed { epoch, key, old, new, by_itself, .. }
                    if *key != Topic::Verb(Verb::Stop) =>
                {
                    let why = by_itself.map_or_else(String::new, |w| format!(" ({})", w.words()));
                    story.changes.push((*epoch, format!("{key}: {old} to {new}{why}")));
                }
                _ => {}
            }
            story.dashboard.fold(record);
        }
        Ok(story)
    }

    fn figures(self, directory: RunDirectory) -> SeedFigures {
        let d = self.dashboard;
        SeedFigures {
            directory,
            seed: d.config.seed,
            pretrain_epochs: d.config.pretrain_epochs(),
            epochs: d.epochs,
            weights: d.weights,
            changes: self.changes,
        }
    }
}
