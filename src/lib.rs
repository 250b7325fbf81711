//! stub
pub mod config;
pub mod data;
pub mod importance;
pub mod protocol;
pub mod stream;
