//! A made-up run for screens: its records, its samples, the machine, and how a screen is read.

use crossterm::event::{Event as TermEvent, KeyCode, KeyEvent, KeyModifiers};
use earlybird::config;
use earlybird::dashboard::Dashboard;
use earlybird::importance::{Quartiles, Sample};
use earlybird::link::Delivery;
use earlybird::protocol::{
    Because, DataSummary, EpochSummary, Event, Measured, MeasuredOn, ModelSummary, Phase, Record,
    StepTimes, Threads, Waiting, WeightsSummary,
};
use earlybird::train::Pictures;
use earlybird::tui::{
    App, Appearance, Costs, Gpus, MachineFigures, Other, ProcessFigures, Sheet, Tab, Themes,
    Watching, draw,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use termprofile::TermProfile;

pub fn app(ascii: bool) -> App {
    app_in("dark", TermProfile::TrueColor, ascii)
}

pub fn app_in(theme: &str, level: TermProfile, ascii: bool) -> App {
    App::new(Appearance::new(theme, level, ascii, Themes::default()).unwrap(), Watching::Run)
}

/// Everything that tabs show beside the run's own figures.
pub fn furnish(app: &mut App) {
    app.shared.sheet = Some(sheet());
    let mut other = Dashboard::default();
    for (k, event) in records(13).into_iter().enumerate() {
        other.fold(Record { seq: k as u64 + 1, t: k as f64 / 9.0, event });
    }
    for e in &mut other.epochs {
        e.measured.accuracy -= 0.013;
    }
    other.best = other.best.map(|(best, epoch)| (best - 0.013, epoch));
    let run = |id: &str, shown| Other { id: id.into(), dashboard: other.clone(), shown };
    app.shared.others.list = vec![
        run("demo-006", true),
        run("demo-005-with-a-name-that-is-longer-than-its-column", false),
    ];
    app.shared.others.baseline = Some("demo-006".into());
    app.shared.machine = Some(MachineFigures {
        cores: vec![97.0, 88.0],
        load: 1.9,
        memory: (3 << 30, 24 << 30),
        trainer: Some(ProcessFigures { pid: 4711, cpu: 186.0, memory: 402 << 20 }),
        cockpit: Some(ProcessFigures { pid: 4712, cpu: 1.2, memory: 41 << 20 }),
        gpus: Gpus::default(),
    });
    app.shared.costs = Costs { bytes_per_s: 3_210.0, frames_per_s: 9.8, bytes: 654_321 };
}

/// A few samples of every class, as gradients.
fn sheet() -> Sheet {
    let sample = |i: u32| Sample {
        index: 7 * i,
        class: i % 10,
        p: (!i.is_multiple_of(13)).then_some(0.02 * (i % 50) as f32),
        weight: 1.0 - 0.02 * (i % 50) as f32,
        probability: 1.0 / 120.0,
        drawn: (i * 7) % 23,
        predicted: Some((i + i % 3) % 10),
        confidence: Some(0.5 + 0.004 * i as f32),
        flipped: None,
    };
    let samples: Vec<Sample> = (0..120).map(sample).collect();
    let pixel = |i: u32, k: usize| ((k / 28 + k % 28) * 4 + i as usize) as u8;
    let pictures = Pictures {
        index: samples.iter().map(|s| s.index).collect(),
        pixels: samples.iter().flat_map(|s| (0..784).map(move |k| pixel(s.index, k))).collect(),
        shape: [1, 28, 28],
    };
    Sheet::of(&samples, pictures, 10)
}

pub const NAMES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const COUNTS: [u64; 10] = [1000, 774, 599, 464, 359, 278, 215, 167, 129, 100];
const BIASED: [u64; 10] = [805, 367, 670, 544, 584, 205, 405, 196, 164, 145];

/// The records of the demo up to the middle of epoch `until`.
pub fn records(until: usize) -> Vec<Event> {
    let mut events = vec![Event::RunStarted {
        run: "demo-007".into(),
        config: Box::new(config::demo(&[]).unwrap()),
        data: DataSummary {
            name: "fashion-mnist-mini".into(),
            train: 4085,
            test: 5000,
            validation: 0,
            classes: NAMES.map(String::from).to_vec(),
            counts: COUNTS.to_vec(),
            shape: [1, 28, 28],
            sha256: String::new(),
        },
        model: ModelSummary { name: "convnet".into(), parameters: 94_186 },
        device: "libtorch:cpu".into(),
        versions: vec![],
        threads: Some(Threads { count: 8, because: Because::Cores, waiting: Waiting::Passive }),
    }];
    for epoch in 1..=until {
        let phase = if epoch <= 3 { Phase::Pretrain } else { Phase::Biased };
        events.push(Event::Phase { epoch, phase });
        let steps = if epoch == until { 64 } else { 128 };
        for step in (8..=steps).step_by(8) {
            let x = epoch as f64 - 1.0 + step as f64 / 128.0;
            let loss = 0.3
                + 2.0 * (-x).exp()
                + if phase == Phase::Biased { 0.15 } else { 0.0 }
                + 0.05 * (7.0 * x).sin();
            events.push(Event::Step {
                epoch,
                step,
                steps: 128,
                loss,
                lr: 0.0731,
                images_per_s: 1_733.0,
                grad_norm: None,
            });
        }
        if epoch == until {
            break;
        }
        let drawn = if phase == Phase::Biased { BIASED } else { COUNTS };
        let accuracy = 0.9 - 0.5 / epoch as f64;
        events.push(Event::EpochEnd(EpochSummary {
            epoch,
            phase,
            train_loss: 0.5,
            measured: Measured { on: MeasuredOn::Test, loss: 0.6123, accuracy },
            average: None,
            grad_norm: None,
            recall: (0..10).map(|c| accuracy - 0.02 * f64::from(c)).collect(),
            drawn: drawn.to_vec(),
            expected: drawn.iter().map(|d| *d as f64 + 3.0).collect(),
            coverage: 0.57,
            expected_coverage: 0.571,
            max_multiplicity: 7,
            never_drawn: 400,
            hard_share: Some(0.2),
            suspect_share: Some(0.01),
            flipped_share: None,
            balance: 0.944,
            ess: 0.75,
            settled: (epoch > 1 && epoch <= 3).then_some(0.58 + 0.1 * epoch as f64),
            seconds: 3.1,
            eval_seconds: 0.6,
            samples: 4085 * epoch as u64,
            step_ms: Some(StepTimes {
                data: 0.1,
                forward: 3.2,
                backward: 6.4,
                optimizer: 0.3,
                bookkeeping: 0.05,
                waiting: 0.02,
                loading: 0.0,
            }),
            correction: match phase {
                Phase::Biased => BIASED.iter().map(|d| (10.0 * *d as f64 / 4085.0).ln()).collect(),
                _ => Vec::new(),
            },
        }));
        if epoch <= 3 {
            let weights = if epoch < 3 { Event::WeightsPreview } else { Event::Weights };
            events.push(weights(WeightsSummary {
                epoch,
                n: 4085,
                unseen: 0,
                spread: Quartiles { min: 0.002, quartiles: [0.25, 0.43, 0.66], max: 0.999 },
                mean: 0.46,
                ess: 0.75,
                edges: (0..=40).map(|i| i as f32 / 40.0).collect(),
                counts: (0..40_u64).map(|i| 20 + (i * (40 - i)) % 300).collect(),
                draw_edges: (0..=40).map(|i| i as f32 / 16.0).collect(),
                draw_counts: (0..40_u64).map(|i| 20 + (i * (40 - i)) % 300).collect(),
                class_mean: vec![0.4; 10],
            }));
        }
    }
    events
}

pub fn hear(app: &mut App, events: Vec<Event>) {
    let count = events.len() as f64;
    for (k, event) in events.into_iter().enumerate() {
        app.hear(Delivery::Record(Record { seq: k as u64 + 1, t: 23.0 * k as f64 / count, event }));
    }
}

pub fn screen(app: &mut App, width: u16, height: u16) -> String {
    app.handle(&TermEvent::Resize(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|f| draw(f, app)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    (0..height)
        .map(|y| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol().to_owned())
                .collect::<String>()
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

/// The tab of this name.
pub fn tab(name: &str) -> Tab {
    Tab::named(name).unwrap()
}

pub fn press(app: &mut App, code: KeyCode) {
    app.handle(&TermEvent::Key(KeyEvent::new(code, KeyModifiers::NONE)));
}
