//! What two tabs say of the importance weights, before and after there are some.

use crate::dashboard::Settling;
use crate::protocol::WeightsSummary;
use crate::tui::look::text::clock;
use crate::tui::look::theme::Role;
use crate::tui::scene::Scene;
use ratatui::text::{Line, Span};

/// What the smallest and the largest weight mean.
pub const EASY_TO_HARD: [&str; 2] = ["easy", "hard"];

/// The weights, or while there are none what they would be if E were now; and which of both, in
/// words.
pub fn known_weights<'a>(scene: &Scene<'a>) -> Option<(&'a WeightsSummary, Span<'static>)> {
    let d = scene.run;
    let computed =
        d.weights.as_ref().map(|w| (w, scene.span(format!("after epoch {} ", w.epoch), Role::Dim)));
    computed.or_else(|| {
        d.preview
            .as_ref()
            .map(|w| (w, scene.span(format!("if E were {} ", w.epoch), Role::Pretrain)))
    })
}

/// How settled the importance is: `0.871 of 0.90`.
pub fn settled_words(found: &Settling) -> String {
    format!("{:.3} of {:.2}", found.settled, found.threshold)
}

/// Before E: what is being recorded, and when the weights come.
pub fn recording_words(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let d = scene.run;
    let (e, n) = (d.pretrain_epochs(), d.config.train.epochs);
    let per_epoch = d.epochs.last().map(|e| e.seconds);
    let eta = per_epoch
        .map(|s| (e as f64 - d.position()).max(0.0) * s)
        .map_or_else(String::new, |s| format!(", in about {}", clock(s)));
    let when = match e {
        _ if d.config.finds_e() => match d.settling() {
            Some(found) => format!(
                "The weights come once the importance is settled: {} so far, E = {}{eta}.",
                settled_words(&found),
                found.e.words()
            ),
            None => format!(
                "E = auto: the weights come once the importance is settled, after epoch {} at the \
                 latest.",
                d.config.pretrain_epochs()
            ),
        },
        _ if e == n => {
            "E = N: uniform to the end, no weights are needed (the baseline).".to_owned()
        }
        0 => "E = 0: biased from the start, with uniform weights.".to_owned(),
        _ => format!("The weights come after epoch {e}{eta}."),
    };
    let of = if d.config.finds_e() { String::new() } else { format!(" of {e}") };
    let recording = format!(
        "Recording p, the probability of the true class, of every sample as it trains: epoch \
         {}{of}.",
        d.epoch.min(e)
    );
    let mut lines = Vec::new();
    if d.epoch > 0 && e > 0 && d.epoch <= e {
        lines.push(Line::from(scene.span(recording, Role::Text)));
    }
    lines.push(Line::from(scene.span(when, Role::Pretrain)));
    lines
}
