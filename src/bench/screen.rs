//! The cockpit: what a frame costs, however long the run and however many its classes.

use super::BenchError;
use crate::config::RunConfig;
use crate::importance::{Quartiles, Sample};
use crate::link::Delivery;
use crate::protocol::{
    DataSummary, EpochSummary, Event, Measured, MeasuredOn, ModelSummary, Phase, Record,
    WeightsSummary,
};
use crate::train::Pictures;
use crate::tui::{App, Appearance, Other, Sheet, Tab, Themes, Watching, draw};
use crossterm::event::{Event as TermEvent, KeyCode};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use termprofile::TermProfile;

/// Columns and rows of the frames.
const SIZE: (u16, u16) = (200, 60);

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScreenFigures {
    /// Step records folded.
    pub steps: usize,
    /// Classes.
    pub classes: usize,
    /// Nanoseconds to fold a record.
    pub fold_ns: f64,
    /// What frames of each tab cost.
    pub tabs: Vec<TabFigures>,
}

/// What frames of a tab cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TabFigures {
    /// The tab, and which view of it.
    pub tab: String,
    /// Milliseconds to draw a frame of 200x60: median, and the longest of a hundred.
    pub frame_ms: [f64; 2],
}

/// Folds `steps` step records of a run with `classes` classes, then draws frames.
///
/// # Errors
/// When there is no such theme.
pub fn screen(steps: usize, classes: usize) -> Result<ScreenFigures, BenchError> {
    let mut app = App::new(
        Appearance::new("dark", TermProfile::TrueColor, false, Themes::default())?,
        Watching::Run,
    );
    let events = story(steps, classes);
    let count = events.len();
    let began = Instant::now();
    for (k, event) in events.into_iter().enumerate() {
        app.hear(Delivery::Record(Record { seq: k as u64 + 1, t: k as f64, event }));
    }
    let fold_ns = 1e9 * began.elapsed().as_secs_f64() / count as f64;
    app.handle(&TermEvent::Resize(SIZE.0, SIZE.1));
    app.shared.sheet = Some(sheet(classes));
    let beside = |k: usize| Other {
        id: format!("run-{k:03}"),
        dashboard: app.dashboard.clone(),
        shown: k < 3,
    };
    app.shared.others.list = (0..10).map(beside).collect();
    let mut tabs = Vec::new();
    for tab in Tab::ALL {
        app.show(tab);
        let views = if tab.name() == "Classes" { 3 } else { 1 };
        for view in 0..views {
            let name = if views > 1 {
                format!("{} {}", tab.name(), view + 1)
            } else {
                tab.name().to_owned()
            };
            tabs.push(TabFigures { tab: name, frame_ms: frames(&mut app) });
            app.handle(&TermEvent::Key(KeyCode::Char('v').into()));
        }
    }
    Ok(ScreenFigures { steps, classes, fold_ns, tabs })
}

/// Median and longest of a hundred frames, milliseconds.
fn frames(app: &mut App) -> [f64; 2] {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(SIZE.0, SIZE.1));
    let mut frames: Vec<f64> = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let Ok(_) = terminal.draw(|frame| draw(frame, app));
        frames.push(1e3 * began.elapsed().as_secs_f64());
    }
    frames.sort_by(f64::total_cmp);
    [frames[frames.len() / 2], frames[frames.len() - 1]]
}

/// Samples of every class with pictures of 32x32, as many as a run keeps.
fn sheet(classes: usize) -> Sheet {
    let count = (8 * classes).min(4_000) as u32;
    let sample = |i: u32| Sample {
        index: i,
        class: i % classes as u32,
        p: Some(0.5),
        weight: (i % 100) as f32 / 100.0,
        probability: 1.0 / f64::from(count),
        drawn: i % 9,
        predicted: Some(0),
        confidence: Some(0.9),
        flipped: None,
    };
    let samples: Vec<Sample> = (0..count).map(sample).collect();
    let pixels = (0..samples.len() * 3 * 32 * 32).map(|k| (k * 7) as u8).collect();
    Sheet::of(
        &samples,
        Pictures { index: (0..count).collect(), pixels, shape: [3, 32, 32] },
        classes,
    )
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
            sha256: String::new(),
        },
        model: ModelSummary { name: "resnet18".into(), parameters: 11_173_962 },
        device: "libtorch:cpu".into(),
        versions: Vec::new(),
        threads: None,
    }];
    let per_epoch = steps / EPOCHS;
    for epoch in 1..=EPOCHS {
        let phase = if epoch <= 3 { Phase::Pretrain } else { Phase::Biased };
        events.push(Event::Phase { epoch, phase });
        events.extend((1..=per_epoch).map(|step| {
            let loss = 2.0 / (1.0 + epoch as f64) + 0.1 * (step as f64).sin();
            let (lr, images_per_s, grad_norm) = (0.05, 1e4, None);
            Event::Step { epoch, step, steps: per_epoch, loss, lr, images_per_s, grad_norm }
        }));
        let accuracy = 1.0 - 1.0 / (1.0 + epoch as f64);
        events.push(Event::EpochEnd(EpochSummary {
            epoch,
            phase,
            train_loss: 1.0,
            measured: Measured { on: MeasuredOn::Test, loss: 1.0, accuracy },
            average: None,
            grad_norm: None,
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
            settled: None,
            seconds: 30.0,
            eval_seconds: 1.0,
            samples: (epoch * n) as u64,
            step_ms: None,
            correction: Vec::new(),
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
