//! What is around a tab, and what is shown instead on a small terminal.

pub mod chrome;
pub mod small;
