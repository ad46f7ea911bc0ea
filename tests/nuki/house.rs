//! A lock, its driver, and the air between them.
#![allow(dead_code, reason = "every test takes what it needs")]

use std::sync::atomic::Ordering::Relaxed;

use lockbridge::lock::nuki::{Credentials, Model, NukiDriver, SecurityPin, SharedKey, Visited, capabilities};
use lockbridge::model::{CodeId, Content, Finding, How, Pin, Slot, Step, Timestamp, Window};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use uuid::Uuid;

use super::air::Air;
use super::lock::{Kind, SimLock, User};

pub const KINDS: [Kind; 2] = [Kind::Classic, Kind::Ultra];
pub const PROVEN: Finding = Finding::Proven(How::ReadBack);

/// The driver for a lock that knows us under the number 5.
pub fn driver_of(kind: Kind, pin: SecurityPin) -> NukiDriver {
    let credentials = Credentials {
        model: model(kind),
        authorization: 5,
        key: SharedKey::new([0x42; 32]),
        app_id: 77,
    };
    NukiDriver::new(credentials, pin, capabilities())
}

/// A door with a lock that this gateway is paired with.
pub struct House {
    pub lock: SimLock,
    pub driver: NukiDriver,
    pub air: Air,
    /// Whether the gateway's clock is trusted.
    pub trusted: bool,
    rng: ChaCha8Rng,
}

impl House {
    pub fn new(kind: Kind, seed: u64) -> House {
        let mut lock = SimLock::new(kind, seed);
        let user = User {
            key: [0x42; 32],
            app_id: 77,
            name: "lockbridge".to_owned(),
            kind: 0,
        };
        lock.users.insert(5, user);
        House {
            lock,
            driver: driver_of(kind, right_pin(kind)),
            air: Air::clear(),
            trusted: true,
            rng: ChaCha8Rng::seed_from_u64(!seed),
        }
    }

    /// One exchange. A link that does not come about is silence.
    pub async fn ask(&mut self, steps: &[Step]) -> Vec<Finding> {
        match self.visit(steps).await {
            Some(visited) => visited.findings,
            None => {
                let mut findings = vec![Finding::Untried; steps.len()];
                findings[0] = Finding::Unanswered;
                findings
            }
        }
    }

    /// One exchange, if a link comes about.
    pub async fn visit(&mut self, steps: &[Step]) -> Option<Visited> {
        let world = self.lock.world.clone();
        let trusted = self.trusted;
        let time = move || trusted.then(|| Timestamp(world.load(Relaxed)));
        let mut link = self.air.link(&mut self.lock)?;
        let visiting = self.driver.exchange(&mut link, &mut self.rng, &time, steps);
        Some(visiting.await)
    }

    /// The link and all else that a talk needs.
    pub fn parts(&mut self) -> (&mut NukiDriver, super::air::SimLink<'_>, &mut ChaCha8Rng) {
        let link = self.air.link(&mut self.lock).expect("nobody else is connected");
        (&mut self.driver, link, &mut self.rng)
    }

    /// The digits that the lock holds, by id.
    pub fn held(&self) -> Vec<(u16, u32)> {
        self.lock
            .codes
            .iter()
            .map(|code| (code.id, code.digits))
            .collect()
    }

    /// How often each of these commands was carried out or refused.
    pub fn count(&self, command: u16) -> usize {
        self.lock.done.iter().filter(|done| **done == command).count()
    }
}

pub fn model(kind: Kind) -> Model {
    match kind {
        Kind::Classic => Model::Classic,
        Kind::Ultra => Model::Ultra,
    }
}

/// The security PIN of the simulated lock.
pub fn right_pin(kind: Kind) -> SecurityPin {
    let digits = match kind {
        Kind::Classic => "1234",
        Kind::Ultra => "123456",
    };
    SecurityPin::parse(model(kind), digits).unwrap()
}

pub fn wrong_pin(kind: Kind) -> SecurityPin {
    let digits = match kind {
        Kind::Classic => "4321",
        Kind::Ultra => "654321",
    };
    SecurityPin::parse(model(kind), digits).unwrap()
}

pub fn pin(digits: u32) -> Pin {
    Pin::parse(&digits.to_string()).unwrap()
}

/// Hours from when simulated locks begin.
pub fn stay(from_hour: i64, until_hour: i64) -> Window {
    let at = |hour: i64| Timestamp(1_795_600_000_000 + hour * 3_600_000);
    Window::between(at(from_hour), at(until_hour)).unwrap()
}

pub fn content(digits: u32, window: Window) -> Content {
    Content {
        pin: pin(digits),
        name: Some("Ada Lovelace".to_owned()),
        window,
    }
}

pub fn put(content: &Content, stale: &[u32]) -> Step {
    Step::Put {
        code: CodeId(Uuid::from_u128(1)),
        generation: 1,
        slot: Slot(1),
        content: content.clone(),
        stale: stale.iter().copied().map(pin).collect(),
    }
}

pub fn remove(pins: &[u32]) -> Step {
    Step::Remove {
        code: CodeId(Uuid::from_u128(1)),
        generation: 1,
        slot: Slot(1),
        pins: pins.iter().copied().map(pin).collect(),
    }
}
