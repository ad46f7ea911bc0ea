//! A core without locks, over memory: for tests of those who talk with it.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::core::{Parts, ear, start};
use super::handle::Core;
use crate::clock::Clock;
use crate::gateway::Gateway;
use crate::model::Settings;
use crate::store::{MemoryStore, SealKey, Vault};

/// A running one. Changes of trust in the clock are what can happen to it.
pub fn bare(clock: &Clock, settings: Settings) -> Core {
    let mut store = MemoryStore::new();
    let (vault, content) = Vault::open(&mut store, &SealKey::new([7; SealKey::BYTES]), [1; 16]).unwrap();
    let (gateway, _) = Gateway::boot(
        vault,
        content,
        Vec::new(),
        BTreeMap::new(),
        settings,
        clock.boot(),
        clock.reading(),
    )
    .unwrap();
    let (core, _) = start(Parts {
        gateway,
        store: Box::new(store),
        storage_low: Box::new(|| false),
        exporter: None,
        locks: BTreeMap::new(),
        facts: ear().1,
        clock: clock.clone(),
        rng: Box::new(ChaCha8Rng::seed_from_u64(1)),
    })
    .unwrap();
    core
}
