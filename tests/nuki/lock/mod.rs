//! A simulated Nuki lock with a keypad, written from the vendor's document and apart from the driver: it shares no
//! framing, no message and no cipher code with it, only the libraries of the ciphers.
//!
//! Bytes go in per characteristic, indications come out; what carries them, and what goes wrong on the way, is
//! somebody else's affair. The lock is a plain value: its table, its clock and its log can be looked at and changed by
//! whoever holds it.
#![allow(dead_code, reason = "every test takes what it needs")]

mod commands;
mod pairing;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use commands::read_date;
use pairing::Stage;
use wire::{date, seal};

/// `a92eeXXX-5501-11e4-916c-0800200c9a66`.
pub fn characteristic(low: u32) -> Uuid {
    Uuid::from_u128(0xa92e_e000_5501_11e4_916c_0800_200c_9a66 | u128::from(low) << 96)
}

/// Generation of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1 to 4: a security PIN of 16 bits.
    Classic,
    /// Ultra: a security PIN of 32 bits.
    Ultra,
}

/// One row of the lock's table, as bytes where the wire has bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub id: u16,
    pub digits: u32,
    pub name: String,
    pub enabled: bool,
    pub limited: bool,
    pub from: [u8; 7],
    pub until: [u8; 7],
    pub weekdays: u8,
    pub hours: [u8; 4],
    pub uses: u16,
}

impl Code {
    /// From when until when it opens, in milliseconds since 1970; `None` if it always does.
    pub fn window_ms(&self) -> Option<(i64, i64)> {
        self.limited.then(|| {
            let at = |date| read_date(date).expect("the lock took it");
            (at(&self.from), at(&self.until))
        })
    }
}

/// What somebody did at the keypad, as bytes where the wire has bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    pub action: u8,
    pub source: u8,
    pub completion: u8,
    /// The id of the code; 0 for none.
    pub code: u16,
    /// When, by its clock, in milliseconds since 1970.
    pub clock_ms: i64,
}

/// How the lock meets those who want to change its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It does as it says.
    Honest,
    /// It says yes, and does nothing.
    Liar,
    /// It answers every change with an error, and may carry it out all the same.
    Objects { code: u8, does_it: bool },
}

/// A message on its way to whoever subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indication {
    pub characteristic: Uuid,
    pub value: Vec<u8>,
}

/// Somebody who may talk with the lock.
#[derive(Clone, Debug)]
pub struct User {
    pub key: [u8; 32],
    pub app_id: u32,
    pub name: String,
    /// 0 is an app, 1 a bridge; an Ultra knows no kinds.
    pub kind: u8,
}

pub struct SimLock {
    pub kind: Kind,
    pub private: [u8; 32],
    pub users: BTreeMap<u32, User>,
    pub codes: Vec<Code>,
    pub capacity: usize,
    pub security_pin: u32,
    /// How often the security PIN was wrong.
    pub wrong_pins: u32,
    /// True time, in milliseconds since 1970: shared with whoever else knows it.
    pub world: Arc<AtomicI64>,
    /// How far its own clock is ahead of that.
    pub clock_off_ms: i64,
    /// How long each answer takes it.
    pub slowness_ms: i64,
    pub manner: Manner,
    /// The ring is lit: it may be paired.
    pub pairing: bool,
    pub locked: bool,
    /// Nobody may set its clock.
    pub refuses_time: bool,
    /// Says the end of a table.
    pub says_end: bool,
    /// Before each answer it tells its state unasked, and that it refused what somebody else wanted.
    pub chatty: bool,
    /// So many commands, and it is busy.
    pub busy_after: Option<usize>,
    /// So many commands, and its security PIN is another.
    pub forgets_pin_after: Option<usize>,
    /// Tells the window of a code also where there is none.
    pub wide_rows: bool,
    /// Commands that it carried out or refused, in their order.
    pub done: Vec<u16>,
    /// Newest last.
    pub log: Vec<Logged>,
    /// The number of the first entry that is still there.
    pub log_begins: u32,
    /// Most entries that one answer tells.
    pub log_page: usize,
    /// Whenever its logbook was read, somebody types one of these.
    pub typed_meanwhile: Vec<u32>,
    /// It gives a code the lowest id that is free.
    pub reuses_ids: bool,
    next_id: u16,
    next_user: u32,
    rng: ChaCha8Rng,
    challenge: Option<(u32, [u8; 32])>,
    stage: Stage,
}

impl SimLock {
    /// A lock that is set up, has a keypad, and knows nobody.
    pub fn new(kind: Kind, seed: u64) -> SimLock {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut private = [0; 32];
        rng.fill_bytes(&mut private);
        SimLock {
            kind,
            private,
            users: BTreeMap::new(),
            codes: Vec::new(),
            capacity: 100,
            security_pin: match kind {
                Kind::Classic => 1234,
                Kind::Ultra => 123_456,
            },
            wrong_pins: 0,
            world: Arc::new(AtomicI64::new(1_795_600_000_000)),
            clock_off_ms: 0,
            slowness_ms: 300,
            manner: Manner::Honest,
            pairing: false,
            locked: true,
            refuses_time: false,
            says_end: true,
            chatty: false,
            busy_after: None,
            forgets_pin_after: None,
            wide_rows: false,
            done: Vec::new(),
            log: Vec::new(),
            log_begins: 0,
            log_page: usize::MAX,
            typed_meanwhile: Vec::new(),
            reuses_ids: false,
            next_id: 1,
            next_user: 0x0034_5ce0,
            rng,
            challenge: None,
            stage: Stage::Idle,
        }
    }

    /// Somebody connects: whatever was begun on the last link is forgotten.
    pub fn connect(&mut self) {
        self.challenge = None;
        self.stage = Stage::Idle;
    }

    /// A whole write arrives; the lock does what it does, and these indications go out.
    pub fn write(&mut self, to: Uuid, value: &[u8]) -> Vec<Indication> {
        let pairing = characteristic(match self.kind {
            Kind::Classic => 0x101,
            Kind::Ultra => 0x301,
        });
        let answers = match to {
            _ if to == pairing => self.hear_pairing(value),
            _ if to == characteristic(0x202) => self.hear_sealed(value),
            _ => Vec::new(),
        };
        let took = self.slowness_ms * i64::try_from(answers.len()).unwrap();
        self.world.fetch_add(took, Relaxed);
        answers
            .into_iter()
            .map(|value| Indication {
                characteristic: to,
                value,
            })
            .collect()
    }

    /// What its own clock shows: milliseconds since 1970 in UTC.
    pub fn clock_ms(&self) -> i64 {
        self.world.load(Relaxed) + self.clock_off_ms
    }

    /// Somebody adds a code by other means.
    pub fn add(&mut self, id: u16, digits: u32) {
        self.codes.push(Code {
            id,
            digits,
            name: "Cleaner".to_owned(),
            enabled: true,
            limited: false,
            from: [0; 7],
            until: [0; 7],
            weekdays: 0,
            hours: [0; 4],
            uses: 0,
        });
        self.next_id = self.next_id.max(id + 1);
    }

    /// Somebody types digits at the keypad: whether the door opens. It goes by the lock's own clock.
    pub fn keypad(&mut self, digits: u32) -> bool {
        let clock_ms = self.clock_ms();
        let now = date(clock_ms);
        let sortable = |date: [u8; 7]| {
            let [low, high, rest @ ..] = date;
            ([high, low], rest)
        };
        let opens = self.codes.iter_mut().find(|code| {
            code.digits == digits
                && code.enabled
                && (!code.limited
                    || (sortable(code.from) <= sortable(now) && sortable(now) < sortable(code.until)))
        });
        let unlocks = Logged {
            action: 1,
            source: 1,
            completion: 0xe0,
            code: 0,
            clock_ms,
        };
        match opens {
            Some(code) => {
                code.uses += 1;
                self.log.push(Logged {
                    completion: 0,
                    code: code.id,
                    ..unlocks
                });
                self.locked = false;
                true
            }
            None => {
                self.log.push(unlocks);
                false
            }
        }
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}
