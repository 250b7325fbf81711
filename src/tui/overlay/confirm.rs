//! Whether something should really be done that cannot be taken back.

use super::field::draw_choice;
use super::{Layer, Outcome, Press};
use crate::protocol::{Bias, Command, Stop};
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;

#[derive(Clone, Debug)]
pub struct Confirm {
    pub command: Command,
}

impl Confirm {
    fn question(&self) -> String {
        match &self.command {
            Command::Stop { stop: Stop::Now } => {
                "Stop the run now? It can be resumed from a checkpoint that is written first."
                    .to_owned()
            }
            Command::Stop { stop: Stop::AfterEpoch } => "Stop the run after this epoch?".to_owned(),
            Command::Stop { stop: Stop::AtEpoch(epoch) } => {
                format!("Stop the run after epoch {epoch}?")
            }
            Command::Bias { bias: Bias::Now } => {
                "Bias now? Pretraining ends with this epoch, for good once the next begins."
                    .to_owned()
            }
            other => format!("{other:?}?"),
        }
    }
}

impl Layer for Confirm {
    fn press(&mut self, press: &Press<'_>, _: &Scene<'_>) -> Outcome {
        match press.key.code {
            KeyCode::Char('y') => Outcome::Send(self.command.clone()),
            KeyCode::Char('n' | 'q') => Outcome::Close,
            _ if press.leaves() => Outcome::Close,
            _ => Outcome::Stay,
        }
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        draw_choice(frame, scene, &self.question(), &[("y", " yes  "), ("n", " no")]);
    }
}
