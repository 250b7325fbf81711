//! The learning rate as a function of the step. Pure.

use crate::config::{ScheduleName, TrainConfig};

/// A schedule over a run of known length.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    config: &'a TrainConfig,
    steps_per_epoch: usize,
}

/// One-cycle starts at this share of the peak (PyTorch's `div_factor` 25).
const START: f64 = 1.0 / 25.0;

impl<'a> Schedule<'a> {
    /// The config's schedule for epochs of `steps_per_epoch` steps.
    pub fn new(config: &'a TrainConfig, steps_per_epoch: usize) -> Self {
        Self { config, steps_per_epoch }
    }

    /// Learning rate of `step`, counted from 0 over the whole run, live scale included. Steps at
    /// and beyond the end have the end's.
    pub fn at(&self, step: usize) -> f64 {
        let c = self.config;
        let total = (c.epochs * self.steps_per_epoch).max(1) as f64;
        let step = (step as f64).min(total - 1.0);
        let warm = (c.warmup * total).floor();
        let start = if c.schedule == ScheduleName::OneCycle { START } else { 0.0 };
        let half_cosine = |from: f64, to: f64, share: f64| {
            to + (from - to) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
        };
        let share = if step < warm {
            match c.schedule {
                ScheduleName::OneCycle => half_cosine(START, 1.0, step / warm),
                _ => start + (1.0 - start) * (step + 1.0) / (warm + 1.0),
            }
        } else {
            let after = (step - warm) / (total - warm - 1.0).max(1.0);
            match c.schedule {
                ScheduleName::Constant => 1.0,
                ScheduleName::Step => {
                    let drops = step as usize / (c.step_epochs * self.steps_per_epoch).max(1);
                    c.step_factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
                }
                ScheduleName::Cosine | ScheduleName::OneCycle => {
                    half_cosine(1.0, c.final_lr, after)
                }
            }
        };
        c.lr * c.lr_scale * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: ScheduleName, warmup: f64) -> Vec<f64> {
        let config = TrainConfig {
            epochs: 10,
            lr: 2.0,
            schedule,
            warmup,
            step_epochs: 4,
            ..TrainConfig::default()
        };
        let s = Schedule::new(&config, 10);
        (0..100).map(|i| s.at(i)).collect()
    }

    #[test]
    fn one_cycle_climbs_to_the_peak_and_decays_to_the_end() {
        let r = rates(ScheduleName::OneCycle, 0.2);
        assert!((r[0] - 0.08).abs() < 1e-9, "{}", r[0]);
        assert!((r[20] - 2.0).abs() < 1e-9);
        assert!(r[99].abs() < 1e-9);
        assert!(r[..20].windows(2).all(|w| w[0] < w[1]) && r[20..].windows(2).all(|w| w[0] > w[1]));
    }

    #[test]
    fn the_others_do_as_they_are_called() {
        assert!(rates(ScheduleName::Constant, 0.0).iter().all(|r| *r == 2.0));
        let step = rates(ScheduleName::Step, 0.0);
        assert!(
            (step[39] - 2.0).abs() < 1e-12
                && (step[40] - 0.2).abs() < 1e-12
                && (step[80] - 0.02).abs() < 1e-12
        );
        let cosine = rates(ScheduleName::Cosine, 0.0);
        assert!(
            (cosine[0] - 2.0).abs() < 1e-9
                && cosine[99].abs() < 1e-9
                && (cosine[49] + cosine[50] - 2.0).abs() < 1e-9
        );
        let warm = rates(ScheduleName::Constant, 0.1);
        assert!(warm[0] > 0.0 && warm[0] < warm[9] && warm[9] < 2.0 && warm[10] == 2.0);
    }

    #[test]
    fn the_live_scale_multiplies_and_the_end_is_never_passed() {
        let config = TrainConfig {
            lr: 1.0,
            lr_scale: 0.5,
            schedule: ScheduleName::Constant,
            warmup: 0.0,
            ..TrainConfig::default()
        };
        assert_eq!(Schedule::new(&config, 5).at(1_000_000), 0.5);
    }
}
