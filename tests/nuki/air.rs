//! What lies between a driver and the simulated lock, and what can go wrong there.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::collections::VecDeque;

use lockbridge::lock::nuki::{Characteristic, Link, LinkLost};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::lock::SimLock;

/// Where a link is cut. All are counted over all links, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The lock never gets this write.
    BeforeWrite(usize),
    /// The lock carries this write out, and nobody hears of it.
    AfterWrite(usize),
    /// This indication never comes, nor any after it.
    Indication(usize),
}

/// What becomes of one indication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// Noise comes in its place.
    Garbage,
    /// Its last byte is missing.
    Truncated,
    /// One of its bits is another.
    Flipped,
    /// All that came on this link comes once more, ahead of it.
    Replayed,
}

/// The state of the air.
pub struct Air {
    pub cut: Option<Cut>,
    /// Which indication, and what becomes of it.
    pub spoil: Option<(usize, Spoil)>,
    /// Lengths into which indications are cut, in turn.
    pub lengths: Vec<usize>,
    /// Somebody's phone is connected: no other link comes about.
    pub phone: bool,
    /// A link on which nothing comes any more stays up, and nobody is told.
    pub hangs: bool,
    pub writes: usize,
    pub indications: usize,
    rng: ChaCha8Rng,
}

impl Air {
    pub fn clear() -> Air {
        Air {
            cut: None,
            spoil: None,
            lengths: vec![20],
            phone: false,
            hangs: false,
            writes: 0,
            indications: 0,
            rng: ChaCha8Rng::seed_from_u64(11),
        }
    }

    /// A link to a lock, if one comes about.
    pub fn link<'a>(&'a mut self, lock: &'a mut SimLock) -> Option<SimLink<'a>> {
        if self.phone {
            return None;
        }
        lock.connect();
        Some(SimLink {
            air: self,
            lock,
            coming: VecDeque::new(),
            said: Vec::new(),
            up: true,
        })
    }
}

/// A link to the simulated lock.
pub struct SimLink<'a> {
    air: &'a mut Air,
    lock: &'a mut SimLock,
    coming: VecDeque<Vec<u8>>,
    /// All that the lock said.
    said: Vec<Vec<u8>>,
    up: bool,
}

impl SimLink<'_> {
    fn carry(&mut self, message: &[u8]) {
        let mut rest = message;
        while !rest.is_empty() {
            let turn = self.air.indications % self.air.lengths.len();
            let (part, after) = rest.split_at(self.air.lengths[turn].clamp(1, rest.len()));
            rest = after;
            let number = self.air.indications;
            self.air.indications += 1;
            if self.air.cut == Some(Cut::Indication(number)) {
                self.up = false;
            }
            if self.up {
                self.deliver(number, part);
            }
        }
        self.said.push(message.to_vec());
    }

    fn deliver(&mut self, number: usize, part: &[u8]) {
        let mut part = part.to_vec();
        match self.air.spoil.filter(|(at, _)| *at == number) {
            Some((_, Spoil::Garbage)) => self.air.rng.fill_bytes(&mut part),
            Some((_, Spoil::Truncated)) => _ = part.pop(),
            Some((_, Spoil::Flipped)) => {
                let bit = self.air.rng.random_range(0..part.len() * 8);
                part[bit / 8] ^= 1 << (bit % 8);
            }
            Some((_, Spoil::Replayed)) => self.coming.extend(self.said.iter().cloned()),
            None => {}
        }
        self.coming.push_back(part);
    }
}

impl Link for SimLink<'_> {
    async fn write(&mut self, to: Characteristic, message: &[u8]) -> Result<(), LinkLost> {
        if !self.up {
            return Err(LinkLost);
        }
        let number = self.air.writes;
        self.air.writes += 1;
        if self.air.cut == Some(Cut::BeforeWrite(number)) {
            self.up = false;
            return Err(LinkLost);
        }
        let indications = self.lock.write(to.uuid(), message);
        if self.air.cut == Some(Cut::AfterWrite(number)) {
            self.up = false;
            return Err(LinkLost);
        }
        for indication in indications {
            self.carry(&indication.value);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<u8>, LinkLost> {
        // So that a talk is taken up again between any two indications, as over a radio.
        tokio::task::yield_now().await;
        match self.coming.pop_front() {
            Some(indication) => Ok(indication),
            None if self.air.hangs => std::future::pending().await,
            None => Err(LinkLost),
        }
    }
}
