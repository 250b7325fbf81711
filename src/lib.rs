//! stub
pub mod cli;
pub mod config;
pub mod data;
pub mod importance;
pub mod link;
pub mod model;
pub mod protocol;
pub mod run;
pub mod stream;
pub mod train;
pub mod tui;
