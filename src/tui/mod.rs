//! stub
use std::path::Path;
use crate::link::CockpitEnd;
/// x
#[derive(Debug,Clone)] pub struct Appearance;
impl Appearance { /// x
 pub fn find(_t: Option<&str>, _a: bool, _f: Option<u16>) -> Result<Self, String> { Ok(Self) } }
/// x
#[derive(Debug)] pub enum Ended { /// x
 Finished { /// x
 summary: String }, /// x
 Stopped { /// x
 summary: String } }
/// x
pub fn run(_l: CockpitEnd, _a: Appearance, _p: &Path) -> std::io::Result<Ended> { Err(std::io::Error::other("stub")) }
/// x
#[derive(Debug)] pub struct Terminal { /// x
 pub size: Option<(u16,u16)>, /// x
 pub unicode: bool, /// x
 pub colors: String }
impl Terminal { /// x
 pub fn find() -> Self { Self{size:None,unicode:true,colors:"none".into()} } }
