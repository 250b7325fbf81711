//! How to leave.

use super::field::draw_choice;
use super::{Layer, Outcome, Press};
use crate::protocol::Stop;
use crate::tui::connection::Watching;
use crate::tui::scene::Scene;
use crossterm::event::KeyCode;
use ratatui::Frame;

#[derive(Clone, Copy, Debug)]
pub struct Quit;

impl Layer for Quit {
    fn press(&mut self, press: &Press<'_>, scene: &Scene<'_>) -> Outcome {
        match (press.key.code, scene.connection.watching) {
            (KeyCode::Char('s'), _) => Outcome::LeaveAfter(Stop::Now),
            (KeyCode::Char('a'), _) => Outcome::LeaveAfter(Stop::AfterEpoch),
            (KeyCode::Enter | KeyCode::Char('d'), Watching::Run) => Outcome::Leave,
            (_, Watching::Run) if press.is_control_c() => Outcome::Leave,
            _ if press.is_control_c() => Outcome::LeaveAfter(Stop::Now),
            (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('g' | 'n' | 'q'), _) => Outcome::Close,
            _ => Outcome::Stay,
        }
    }

    fn draw(&self, frame: &mut Frame<'_>, scene: &Scene<'_>) {
        let choices = [
            ("enter", " leave, training goes on  "),
            ("a", " stop after epoch  "),
            ("s", " stop now  "),
            ("esc", " stay"),
        ];
        match scene.connection.watching {
            Watching::InlineRun => {
                let question = "Stop the run? It trains in this process and ends with it.";
                draw_choice(frame, scene, question, &choices[1..]);
            }
            Watching::Run | Watching::Replay { .. } => {
                let question = "Leave the cockpit? The run does not need it.";
                draw_choice(frame, scene, question, &choices);
            }
        }
    }
}
