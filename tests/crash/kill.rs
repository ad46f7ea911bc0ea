//! `kill -9` under load, again and again: what was acknowledged is there, whole, and once.
//!
//! `LOCKBRIDGE_KILLS=n` says how often (25; with `LOCKBRIDGE_FULL=1` 200).

use crate::callers::{full, number, seed};
use crate::common::Rig;
use crate::load::Load;

#[test]
fn what_was_acknowledged_survives_every_kill_whole_and_once() {
    let kills = number("LOCKBRIDGE_KILLS").unwrap_or(if full() { 200 } else { 25 });
    let seed = seed();
    println!("LOCKBRIDGE_SEED={seed} LOCKBRIDGE_KILLS={kills}");
    let load = Load::new(seed);
    let mut rig = Rig::new(&load.parts());
    load.bear(&mut rig, kills, |_| ());
}
