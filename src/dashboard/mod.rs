//! What a screen shows, as a fold over records: the same from a live run, a journal or a test. A
//! run's host keeps one, too: it is what a cockpit that arrives late is given first. Holds figures;
//! never draws, never decides.

mod changes;
mod series;
mod settling;

pub use changes::{Change, Pending};
pub use series::Series;
pub use settling::{FoundE, Settling};

use crate::config::{self, RunConfig};
use crate::importance::{Adjust, Level, Sampler};
use crate::protocol::{
    Cause, DataSummary, End, EpochSummary, Event, ModelSummary, Phase, Record, TestedModel,
    Threads, WeightsSummary,
};
use changes::plain;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Messages kept.
const MESSAGES: usize = 500;

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The model and the data are being loaded.
    Starting,
    /// Steps are made.
    Training,
    /// An evaluation is under way.
    Evaluating,
    /// It waits: for a person, or for what the cause says.
    Paused(Cause),
    /// It is over.
    Finished {
        /// Whether it came to N.
        #[serde(rename = "stopped")]
        end: End,
    },
    /// It broke off.
    Failed,
}

/// How a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// For information.
    Note,
    /// Something was done.
    Good,
    /// Something to look at.
    Warning,
    /// Something went wrong.
    Bad,
}

/// Something that happened, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Seconds since the run began.
    pub t: f64,
    /// How it is meant.
    pub tone: Tone,
    /// The words.
    pub text: String,
}

/// All figures of a run so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dashboard {
    /// Name of the run.
    pub run: String,
    /// The config as it is now.
    pub config: RunConfig,
    /// Its data.
    pub data: Option<DataSummary>,
    /// Its model.
    pub model: Option<ModelSummary>,
    /// Its device.
    pub device: String,
    /// Threads that compute on the CPU; `None` where its journal does not tell.
    #[serde(default)]
    pub threads: Option<Threads>,
    /// Whether it goes on.
    pub state: RunState,
    /// Phase of the epoch in progress.
    pub phase: Phase,
    /// Phase of each epoch that began.
    pub phases: BTreeMap<usize, Phase>,
    /// Epoch in progress, from 1; 0 before the first.
    pub epoch: usize,
    /// Steps done and in all, of the epoch in progress.
    pub step: (usize, usize),
    /// Images evaluated and in all, while evaluating.
    pub evaluated: Option<(usize, usize)>,
    /// Learning rate.
    pub lr: Option<f64>,
    /// Throughput.
    pub images_per_s: Option<f64>,
    /// Training loss over epochs.
    pub loss: Series,
    /// Norm of the gradients over epochs, where they are clipped.
    pub grad_norm: Series,
    /// Training throughput over epochs, images/s.
    pub rate: Series,
    /// Accuracy on what epochs are measured on, percent, over epochs.
    pub accuracy: Series,
    /// Finished epochs.
    pub epochs: Vec<EpochSummary>,
    /// Best accuracy (0 to 1) and its epoch.
    pub best: Option<(f64, usize)>,
    /// Test accuracy (0 to 1) and epoch of the best model, where the test set was kept back to the
    /// end.
    pub tested_best: Option<(f64, usize)>,
    /// The same of the last model.
    pub tested_last: Option<(f64, usize)>,
    /// The weights, once there are some.
    pub weights: Option<WeightsSummary>,
    /// What they would be if E were the last finished epoch; while pretraining.
    pub preview: Option<WeightsSummary>,
    /// What was changed, oldest first.
    pub changes: Vec<Change>,
    /// What was changed and has not taken effect yet.
    pub pending: Vec<Pending>,
    /// Ends of epochs: the epoch, and seconds since the run began.
    pub clock: Vec<(usize, f64)>,
    /// Seconds since the run began, as of the last record.
    pub t: f64,
    /// What happened, oldest first.
    pub messages: Vec<Message>,
    /// The final words.
    pub summary: Option<String>,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            run: String::new(),
            config: RunConfig::default(),
            data: None,
            model: None,
            device: String::new(),
            threads: None,
            state: RunState::Starting,
            phase: Phase::Pretrain,
            phases: BTreeMap::new(),
            epoch: 0,
            step: (0, 0),
            evaluated: None,
            lr: None,
            images_per_s: None,
            loss: Series::default(),
            grad_norm: Series::default(),
            rate: Series::default(),
            accuracy: Series::default(),
            epochs: Vec::new(),
            best: None,
            tested_best: None,
            tested_last: None,
            weights: None,
            preview: None,
            changes: Vec::new(),
            pending: Vec::new(),
            clock: Vec::new(),
            t: 0.0,
            messages: Vec::new(),
            summary: None,
        }
    }
}

impl Dashboard {
    /// Takes one record.
    pub fn fold(&mut self, record: Record) {
        self.t = self.t.max(record.t);
        match record.event {
            Event::RunStarted { run, config, data, model, device, threads, .. } => {
                (self.run, self.config, self.device, self.threads) =
                    (run, *config, device, threads);
                (self.data, self.model) = (Some(data), Some(model));
                (self.state, self.summary) = (RunState::Training, None);
            }
            Event::Continued { epoch, step, steps, .. } => self.continue_from(epoch, (step, steps)),
            Event::Phase { epoch, phase } => {
                if self.phase != phase || self.epoch == 0 {
                    let words = phase_words(phase, epoch, &self.config);
                    let just_found =
                        self.found_e().is_some() && epoch == self.pretrain_epochs() + 1;
                    let found = if just_found { "E found; " } else { "" };
                    self.say(Tone::Note, format!("epoch {epoch}: {found}{words}"));
                }
                if phase == Phase::Pretrain && self.weights.is_some() {
                    (self.weights, self.preview) = (None, None); // they come anew
                }
                (self.epoch, self.phase, self.step, self.evaluated) = (epoch, phase, (0, 0), None);
                self.phases.insert(epoch, phase);
                self.pending.retain(|p| !p.comes_with_epoch(epoch));
                self.work(RunState::Training);
            }
            Event::Step { epoch, step, steps, loss, lr, images_per_s, grad_norm } => {
                (self.epoch, self.step, self.evaluated) = (epoch, (step, steps), None);
                (self.lr, self.images_per_s) = (Some(lr), Some(images_per_s));
                let x = position(epoch, step, steps);
                self.loss.push(x, loss);
                if let Some(norm) = grad_norm {
                    self.grad_norm.push(x, norm);
                }
                self.rate.push(x, images_per_s);
                self.work(RunState::Training);
            }
            Event::Evaluating { epoch, done, of } => {
                (self.epoch, self.evaluated) = (epoch, Some((done, of)));
                self.work(RunState::Evaluating);
            }
            Event::Weights(w) => {
                self.say(
                    Tone::Good,
                    format!("weights of {} samples computed after epoch {}", w.n, w.epoch),
                );
                self.pending.retain(|p| !p.comes_with_weights());
                (self.weights, self.preview) = (Some(w), None);
            }
            Event::WeightsPreview(w) => self.preview = Some(w),
            Event::EpochEnd(e) => {
                // a continued run tells of an epoch again
                self.epochs.retain(|earlier| earlier.epoch < e.epoch);
                self.clock.retain(|(epoch, _)| *epoch < e.epoch);
                self.clock.push((e.epoch, record.t));
                self.accuracy.push(e.epoch as f64, 100.0 * e.measured.accuracy);
                if self.best.is_none_or(|(best, _)| e.measured.accuracy > best) {
                    self.best = Some((e.measured.accuracy, e.epoch));
                }
                self.evaluated = None;
                self.step = (self.step.1, self.step.1);
                self.epochs.push(e);
            }
            Event::Tested { epoch, model, accuracy, .. } => {
                let tested = match model {
                    TestedModel::Best => &mut self.tested_best,
                    TestedModel::Last => &mut self.tested_last,
                };
                *tested = Some((accuracy, epoch));
                let which = model.word();
                self.say(
                    Tone::Good,
                    format!(
                        "test accuracy of the {which} model (epoch {epoch}): {:.2}%",
                        100.0 * accuracy
                    ),
                );
            }
            Event::Changed { epoch, step, key, old, new, effective, by_itself } => {
                let at = position(epoch, step, self.step.1);
                self.pending.retain(|p| p.key != key);
                // What changes by itself does so where it takes effect.
                let waits = Pending::of(&key, &new, &effective, epoch);
                self.pending.extend(waits.filter(|_| by_itself.is_none()));
                self.changes.push(Change {
                    at,
                    key: key.clone(),
                    old: old.clone(),
                    new: new.clone(),
                    by_itself,
                });
                if let (Some(key), Ok(value)) = (key.key(), toml::Value::try_from(&new))
                    && let Ok(config) = crate::config::from_value(&self.config, key.path, &value)
                {
                    self.config = config;
                }
                let why = by_itself.map_or_else(String::new, |why| format!(" ({})", why.words()));
                let (name, old, new) = (key.short(), plain(&old), plain(&new));
                self.say(Tone::Good, format!("{name}: {old} -> {new}{why}, {effective}"));
            }
            Event::Refused { key, value, reason } => {
                let asked =
                    if value.is_null() { String::new() } else { format!(" = {}", plain(&value)) };
                self.say(Tone::Warning, format!("{}{asked} refused: {reason}", key.short()));
            }
            Event::Paused { reason, cause, .. } => {
                self.state = RunState::Paused(cause);
                match reason {
                    Some(reason) => self.say(Tone::Bad, format!("paused: {reason}")),
                    None => self.say(Tone::Note, "paused".into()),
                }
            }
            Event::Resumed { .. } => {
                self.state = RunState::Training;
                self.say(Tone::Note, "resumed".into());
            }
            Event::Note { text } => self.say(Tone::Note, text),
            // Written all the time: told only when somebody waits for it.
            Event::Checkpoint { kind, .. } if kind.is_routine() => {}
            Event::Checkpoint { file, .. } => self.say(Tone::Note, format!("written {file}")),
            Event::Warning { text, .. } => self.say(Tone::Warning, text),
            Event::Failed { reason } => {
                self.state = RunState::Failed;
                self.summary = Some(format!("Run {} failed: {reason}", self.run));
                self.say(Tone::Bad, format!("failed: {reason}"));
            }
            Event::Finished {
                epochs,
                best_accuracy,
                best_epoch,
                final_accuracy,
                seconds,
                end,
                ..
            } => {
                self.state = RunState::Finished { end };
                let verb = end.word();
                let (last, best) = (100.0 * final_accuracy, 100.0 * best_accuracy);
                let text = match epochs {
                    0 => format!("{verb} before the end of an epoch"),
                    _ => format!(
                        "{verb} after {epochs} epochs in {seconds:.0} s: {} accuracy {last:.2}%, \
                         best {best:.2}% (epoch {best_epoch}){}",
                        self.config.measured_on().word(),
                        self.tested_in_words()
                    ),
                };
                self.summary = Some(format!("Run {} {text}", self.run));
                self.say(Tone::Good, text);
            }
        }
    }

    /// Training goes on from here: what came later is no part of the run any more.
    fn continue_from(&mut self, completed: usize, step: (usize, usize)) {
        let here = completed as f64 + step.0 as f64 / step.1.max(1) as f64;
        self.loss.cut_after(here);
        self.grad_norm.cut_after(here);
        self.rate.cut_after(here);
        // An E that was found later is to be found again, and an end that came by itself may not
        // come.
        for change in self.changes.iter().rev() {
            if change.at > here && change.by_itself.is_some() {
                let old = toml::Value::try_from(&change.old).ok();
                let before = old.and_then(|old| {
                    config::from_value(&self.config, change.key.as_str(), &old).ok()
                });
                self.config = before.unwrap_or_else(|| self.config.clone());
            }
        }
        self.changes.retain(|c| c.at <= here);
        self.pending.clear();
        self.clock.retain(|(epoch, _)| *epoch <= completed);
        self.preview = self.preview.take().filter(|w| w.epoch <= completed);
        self.accuracy.cut_after(completed as f64);
        self.epochs.retain(|e| e.epoch <= completed);
        self.phases.retain(|epoch, _| *epoch <= completed + usize::from(step.1 > 0));
        self.weights = self.weights.take().filter(|w| w.epoch <= completed);
        (self.best, self.tested_best, self.tested_last) = (None, None, None);
        for e in &self.epochs {
            if self.best.is_none_or(|(best, _)| e.measured.accuracy > best) {
                self.best = Some((e.measured.accuracy, e.epoch));
            }
        }
        (self.epoch, self.step, self.evaluated) = (completed + usize::from(step.1 > 0), step, None);
        (self.state, self.summary) = (RunState::Training, None);
        let place = match (completed, step.0) {
            (0, 0) => "from the beginning".to_owned(),
            (_, 0) => format!("after epoch {completed}"),
            (_, step) => format!("in epoch {}, after step {step}", completed + 1),
        };
        self.say(Tone::Note, format!("training goes on {place}"));
    }

    /// `; test accuracy 90.12%, of the best model (epoch 7) 90.34%`, where the test set was kept
    /// back to the end.
    fn tested_in_words(&self) -> String {
        match (self.tested_last, self.tested_best) {
            (Some((last, _)), Some((best, epoch))) => {
                format!(
                    "; test accuracy {:.2}%, of the best model (epoch {epoch}) {:.2}%",
                    100.0 * last,
                    100.0 * best
                )
            }
            _ => String::new(),
        }
    }

    /// Position on the epoch axis: completed epochs and the share of the one in progress.
    pub fn position(&self) -> f64 {
        if matches!(self.state, RunState::Finished { .. }) {
            return self.epochs.len() as f64;
        }
        self.epoch.saturating_sub(1) as f64 + self.step.0 as f64 / self.step.1.max(1) as f64
    }

    /// Seconds that are probably left, from the epochs of the last phase; `None` before there is
    /// one.
    pub fn seconds_left(&self) -> Option<f64> {
        let recent: Vec<f64> = self.epochs.iter().rev().take(3).map(|e| e.seconds).collect();
        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
        let left = self.config.train.epochs as f64 - self.position();
        (!recent.is_empty() && !self.is_over()).then(|| (left * mean).max(0.0))
    }

    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(self.state, RunState::Finished { .. } | RunState::Failed)
    }

    /// Whether it waits.
    pub fn is_paused(&self) -> bool {
        matches!(self.state, RunState::Paused(_))
    }

    /// Adds a message of the cockpit's own.
    pub fn say(&mut self, tone: Tone, text: String) {
        self.messages.push(Message { t: self.t, tone, text });
        if self.messages.len() > MESSAGES {
            self.messages.remove(0);
        }
    }

    /// A figure that was on its way when the run was paused or ended does not undo that.
    fn work(&mut self, state: RunState) {
        if !self.is_over() && !self.is_paused() {
            self.state = state;
        }
    }
}

/// Place on the epoch axis of a step of an epoch (from 1).
fn position(epoch: usize, step: usize, steps: usize) -> f64 {
    epoch.saturating_sub(1) as f64 + step as f64 / steps.max(1) as f64
}

/// What an epoch does, in words.
fn phase_words(phase: Phase, epoch: usize, config: &RunConfig) -> String {
    let c = &config.importance;
    let words = match (phase, c.sampler, c.level) {
        (Phase::Pretrain, ..) => "pretraining, each sample once an epoch".to_owned(),
        (Phase::Uniform, ..) => "uniform draws".to_owned(),
        (_, Sampler::Biased, Level::Sample | Level::Class) => {
            "biased: hard samples more often".to_owned()
        }
        (_, Sampler::Biased, _) => "biased: hard samples more often within classes".to_owned(),
        (_, sampler, _) => format!("biased: {} draws", sampler.name()),
    };
    let corrected = match c.adjust {
        _ if !config.corrects_logits(epoch) => "",
        Adjust::Data => ", logits corrected for the data's classes",
        Adjust::Drawn | Adjust::None => ", logits corrected for it",
    };
    format!("{words}{corrected}")
}
