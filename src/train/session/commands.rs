//! What a person asks of a session: each command is carried out between two steps, or refused with
//! the reason, and answered by an event.

use super::{Session, Stage};
use crate::config::{self, Live, Pretrain, RunConfig};
use crate::importance::Sampler;
use crate::protocol::{Bias, Cause, Command, Effective, Event, Stop, Topic, Verb};
use serde_json::{Value, json};

impl Session {
    /// Carries out a command, or says why not; either way an event answers.
    pub fn apply(&mut self, command: Command) {
        if self.is_finished() && !matches!(command, Command::Note { .. }) {
            return self.refuse(Verb::Run, Value::Null, "the run is over");
        }
        match command {
            Command::Pause if self.parts.paused.is_some() => {
                self.refuse(Verb::Pause, Value::Null, "it is paused already")
            }
            Command::Pause => self.pause(Cause::Asked, None),
            Command::Resume if self.parts.paused.is_none() => {
                self.refuse(Verb::Resume, Value::Null, "it is not paused")
            }
            Command::Resume => {
                self.parts.not_finite_accepted |=
                    self.parts.paused.take() == Some(Cause::NotFinite);
                if let Stage::Epoch(epoch, _) = &mut self.stage
                    && self.parts.not_finite_accepted
                {
                    epoch.trust();
                }
                let (epoch, step) = self.position();
                self.parts.outbox.push(Event::Resumed { epoch, step });
            }
            Command::Set { key, value } => self.set(&key, value),
            Command::Bias { bias } => self.bias(bias),
            Command::Rescore if !self.parts.samples.are_weighed() => {
                self.refuse(Verb::Rescore, Value::Null, "there are no weights yet: they come at E")
            }
            Command::Rescore => {
                self.parts.samples.ask_anew();
                let effective = Effective::NextEpoch;
                self.changed(Verb::Rescore, json!(false), json!(true), effective);
            }
            // Whoever drives the session has the disk.
            Command::Checkpoint => {
                self.refuse(Verb::Checkpoint, Value::Null, "nothing here can write one")
            }
            Command::Rewind { .. } => {
                self.refuse(Verb::Rewind, Value::Null, "nothing here can read a checkpoint")
            }
            Command::Note { text } => self.parts.outbox.push(Event::Note { text }),
            Command::Stop { stop } => {
                self.parts.stop = Some(stop);
                let when = match stop {
                    Stop::Now => Effective::Now,
                    Stop::AfterEpoch => Effective::AfterThisEpoch,
                    Stop::AtEpoch(_) => Effective::AfterThatEpoch,
                };
                self.changed(Verb::Stop, Value::Null, json!(stop), when);
            }
        }
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        let Some(live) = config::find(key).map(|k| k.live) else {
            let near = config::nearest(key)
                .map_or_else(String::new, |k| format!("; did you mean {}?", k.path));
            return self.refuse(key, value, &format!("unknown key{near}"));
        };
        let effective = match live {
            Live::No => return self.refuse(key, value, &format!("it is {}", config::FIXED)),
            Live::NextStep => Effective::NextStep,
            Live::NextEpoch => Effective::NextEpoch,
            Live::AtScoring => Effective::WithTheWeights,
            Live::MovesE => return self.set_pretrain_epochs(value),
        };
        let Ok(wanted) = toml::Value::try_from(&value) else {
            return self.refuse(key, value, "not a value of a config");
        };
        let changed = match config::from_value(&self.parts.config, key, &wanted) {
            Ok(changed) => changed,
            Err(problem) => return self.refuse(key, value, &problem.in_a_line()),
        };
        let current = self.parts.completed + usize::from(self.in_epoch());
        if changed.train.epochs < current {
            return self.refuse(
                key,
                value,
                &format!("epoch {current} is in progress or done: N must be at least {current}"),
            );
        }
        if let Some(why) = self.why_not_auto(&changed) {
            return self.refuse(key, value, &why);
        }
        if changed.importance.sampler != Sampler::Uniform {
            self.parts.preferred = changed.importance.sampler;
        }
        let (old, new) = (value_of(&self.parts.config, key), value_of(&changed, key));
        self.parts.config = changed;
        self.changed(key, old, new, effective);
    }

    /// METHOD: while pretraining, the switch moves, at the earliest to the boundary ahead; once
    /// biased, a later E goes back to vanilla at that boundary. Until then it can be taken back.
    fn set_pretrain_epochs(&mut self, value: Value) {
        const KEY: &str = config::PRETRAIN_EPOCHS;
        if value == config::AUTO {
            return self.set_auto();
        }
        let Some(wanted) = value.as_i64() else {
            let what = format!("expected a whole number or \"{}\"", config::AUTO);
            return self.refuse(KEY, value, &what);
        };
        let config = &self.parts.config;
        let (c, n, old) = (self.parts.completed, config.train.epochs, config.pretrain_epochs());
        let before = config.importance.pretrain_epochs;
        let boundary = c + usize::from(self.in_epoch());
        let Some(wanted) = usize::try_from(wanted).ok().filter(|e| *e <= n) else {
            return self.refuse(KEY, value, &format!("E must lie in 0..={n} (N = {n})"));
        };
        let samples = &self.parts.samples;
        let weighed_at = samples.are_weighed().then(|| samples.weighed_at());
        if let Some(weighed_at) = weighed_at.filter(|_| c < old && wanted <= boundary) {
            // It was to go back to pretraining, and has not yet: the weights serve on.
            let new = wanted.min(weighed_at);
            self.parts.config.importance.pretrain_epochs = new.into();
            return self.changed(KEY, json!(before), json!(new), Effective::NextEpoch);
        }
        let biased = c > old || (c == old && (weighed_at.is_some() || self.in_epoch()));
        if biased && wanted <= boundary {
            let why = format!(
                "the switch was made after epoch {old}; only an E of {} to {n} would go back to \
                 pretraining",
                boundary + 1
            );
            return self.refuse(KEY, value, &why);
        }
        let new = wanted.max(boundary);
        if Pretrain::Epochs(new) == before {
            return self.refuse(KEY, value, &format!("E is {old} already"));
        }
        if matches!(self.stage, Stage::Scoring(_)) {
            self.stage = Stage::Boundary; // the pass would be for weights that come later now
        }
        self.parts.config.importance.pretrain_epochs = new.into();
        let effective = if biased {
            Effective::BackToPretraining { after: boundary, weights_after: new }
        } else {
            Effective::WeightsAfter(new)
        };
        self.changed(KEY, json!(before), json!(new), effective);
    }

    /// E is found from here on: while pretraining only, since later there is nothing to be settled.
    fn set_auto(&mut self) {
        const KEY: &str = config::PRETRAIN_EPOCHS;
        let refuse = |s: &mut Self, why: &str| s.refuse(KEY, json!(Pretrain::Auto), why);
        let (c, old) = (self.parts.completed, self.parts.config.importance.pretrain_epochs);
        let e = self.parts.config.pretrain_epochs();
        if old == Pretrain::Auto {
            return refuse(self, "it is already");
        }
        if c > e || (c == e && self.in_epoch()) || self.parts.samples.are_weighed() {
            return refuse(self, "pretraining is over; a later E, as a number, goes back to it");
        }
        let changed = match config::from_value(&self.parts.config, KEY, &config::AUTO.into()) {
            Ok(changed) => changed,
            Err(problem) => return refuse(self, &problem.what),
        };
        if let Some(why) = self.why_not_auto(&changed) {
            return refuse(self, &why);
        }
        if matches!(self.stage, Stage::Scoring(_)) {
            self.stage = Stage::Boundary; // the pass would be for weights that come later now
        }
        self.parts.config = changed;
        self.changed(KEY, json!(old), json!(Pretrain::Auto), Effective::WhenSettled);
    }

    /// Why E cannot be found under this config: even the largest one lies behind. `None` where it
    /// is a number, too.
    fn why_not_auto(&self, config: &RunConfig) -> Option<String> {
        let (most, done) = (config.auto().most, self.parts.completed);
        (config.finds_e() && most <= done).then(|| {
            format!("E would be at most {most} (importance.auto_most), and epoch {done} is done")
        })
    }

    fn bias(&mut self, bias: Bias) {
        const KEY: &str = "importance.sampler";
        let sampler = self.parts.config.importance.sampler;
        let pretraining = self.parts.completed < self.parts.config.pretrain_epochs();
        match bias {
            Bias::Now if pretraining => {
                let epoch = (self.parts.completed + usize::from(self.in_epoch())) as i64;
                self.set_pretrain_epochs(json!(epoch));
            }
            Bias::Now => self.refuse(
                Verb::Bias,
                json!(bias),
                "pretraining is over: `bias on` and `bias off` switch the bias",
            ),
            Bias::Off if sampler == Sampler::Uniform => {
                self.refuse(Verb::Bias, json!(bias), "draws are uniform already")
            }
            Bias::On if sampler != Sampler::Uniform => {
                self.refuse(Verb::Bias, json!(bias), "the bias is on already")
            }
            Bias::Off => self.set(KEY, json!("uniform")),
            Bias::On => self.set(KEY, json!(self.parts.preferred)),
        }
    }

    fn changed(&mut self, key: impl Into<Topic>, old: Value, new: Value, effective: Effective) {
        let (epoch, step) = self.position();
        self.parts.outbox.push(Event::Changed {
            epoch,
            step,
            key: key.into(),
            old,
            new,
            effective,
            by_itself: None,
        });
    }

    fn refuse(&mut self, key: impl Into<Topic>, value: Value, reason: &str) {
        self.parts.outbox.push(Event::Refused { key: key.into(), value, reason: reason.into() });
    }
}

fn value_of(config: &RunConfig, key: &str) -> Value {
    let whole = serde_json::to_value(config).unwrap_or(Value::Null);
    key.split('.').try_fold(&whole, |v, part| v.get(part)).cloned().unwrap_or(Value::Null)
}
