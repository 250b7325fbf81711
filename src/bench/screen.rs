//! The cockpit: what a frame costs, however long the run and however many its classes.

use crate::config::RunConfig;
use crate::importance::Quartiles;
use crate::link::Delivery;
use crate::protocol::{DataSummary, EpochSummary, Event, Measured, MeasuredOn, ModelSummary, Phase, Record, WeightsSummary};
use crate::tui::{App, Appearance, Themes, Watching, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use termprofile::TermProfile;

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScreenFigures {
    /// Step records folded.
    pub steps: usize,
    /// Classes.
    pub classes: usize,
    /// Nanoseconds to fold a record.
    pub fold_ns: f64,
    /// Milliseconds to draw a frame of 120x36: median, and the longest of a hundred.
    pub frame_ms: [f64; 2],
}

/// Folds `steps` step records of a run with `classes` classes, then draws frames.
///
/// # Errors
/// When there is no such theme.
pub fn screen(steps: usize, classes: usize) -> Result<ScreenFigures, String> {
    let mut app = App::new(
        Appearance::new("dark", TermProfile::TrueColor, false, Themes::default()).map_err(|e| e.to_string())?,
        Watching::Run,
    );
    let events = story(steps, classes);
    let count = events.len();
    let began = Instant::now();
    for (k, event) in events.into_iter().enumerate() {
        app.hear(Delivery::Record(Record { seq: k as u64 + 1, t: k as f64, event }));
    }
    let fold_ns = 1e9 * began.elapsed().as_secs_f64() / count as f64;
    let mut terminal = Terminal::new(TestBackend::new(120, 36)).map_err(|e| e.to_string())?;
    let mut frames: Vec<f64> = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        terminal.draw(|frame| draw(frame, &app)).map_err(|e| e.to_string())?;
        frames.push(1e3 * began.elapsed().as_secs_f64());
    }
    frames.sort_by(f64::total_cmp);
    Ok(ScreenFigures { steps, classes, fold_ns, frame_ms: [frames[frames.len() / 2], frames[frames.len() - 1]] })
}

fn story(steps: usize, classes: usize) -> Vec<Event> {
    const EPOCHS: usize = 100;
    let mut config = RunConfig::default();
    config.train.epochs = EPOCHS;
    let names: Vec<String> = (0..classes).map(|c| format!("class number {c}")).collect();
    let counts = vec![100; classes];
    let n = 100 * classes;
    let mut events = vec![Event::RunStarted {
        run: "bench".into(),
        config: Box::new(config),
        data: DataSummary {
            name: "bench".into(),
            train: n,
            test: n,
            validation: 0,
            classes: names,
            counts: counts.clone(),
            shape: [3, 32, 32],
        },
        model: ModelSummary { name: "resnet18".into(), parameters: 11_173_962 },
        device: "libtorch:cpu".into(),
        versions: Vec::new(),
    }];
    let per_epoch = steps / EPOCHS;
    for epoch in 1..=EPOCHS {
        let phase = if epoch <= 3 { Phase::Pretrain } else { Phase::Biased };
        events.push(Event::Phase { epoch, phase });
        events.extend((1..=per_epoch).map(|step| {
            let loss = 2.0 / (1.0 + epoch as f64) + 0.1 * (step as f64).sin();
            Event::Step { epoch, step, steps: per_epoch, loss, lr: 0.05, images_per_s: 1e4 }
        }));
        let accuracy = 1.0 - 1.0 / (1.0 + epoch as f64);
        events.push(Event::EpochEnd(EpochSummary {
            epoch,
            phase,
            train_loss: 1.0,
            measured: Measured { on: MeasuredOn::Test, loss: 1.0, accuracy },
            recall: vec![accuracy; classes],
            drawn: counts.clone(),
            expected: vec![100.0; classes],
            coverage: 0.6,
            expected_coverage: 0.6,
            max_multiplicity: 7,
            never_drawn: 100,
            hard_share: Some(0.1),
            suspect_share: Some(0.01),
            flipped_share: None,
            balance: 0.9,
            ess: 0.7,
            seconds: 30.0,
            eval_seconds: 1.0,
            samples: (epoch * n) as u64,
            step_ms: None,
        }));
        if epoch == 3 {
            events.push(Event::Weights(WeightsSummary {
                epoch,
                n,
                unseen: 0,
                spread: Quartiles { min: 0.0, quartiles: [0.2, 0.5, 0.8], max: 1.0 },
                mean: 0.5,
                ess: 0.7,
                edges: (0..=40).map(|i| i as f32 / 40.0).collect(),
                counts: vec![n as u64 / 40; 40],
                draw_edges: (0..=40).map(|i| i as f32 / 20.0).collect(),
                draw_counts: vec![n as u64 / 40; 40],
                class_mean: vec![0.5; classes],
            }));
        }
    }
    events
}
