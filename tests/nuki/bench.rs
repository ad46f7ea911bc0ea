//! The simulated Nuki lock on the bench of the driver contract.

#[path = "air.rs"]
mod air;
#[path = "house.rs"]
mod house;
#[path = "lock/mod.rs"]
mod lock;

use std::sync::Mutex;

use lockbridge::clock::Busy;
use lockbridge::lock::Findings;

use super::*;
use air::Cut;
use house::House;
use lock::{Kind, Manner};

/// The driver behind the gateway's own trait, with a link for each exchange.
struct Doorway {
    capabilities: Capabilities,
    house: tokio::sync::Mutex<House>,
    /// What happens to the next links.
    trouble: Mutex<Trouble>,
}

impl Lock for Doorway {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn exchange<'a>(&'a self, steps: &'a [Step], _: &'a Busy) -> Findings<'a> {
        Box::pin(async move {
            let mut house = self.house.lock().await;
            let trouble = *self.trouble.lock().unwrap();
            house.air.phone = matches!(trouble, Trouble::Away);
            house.air.cut = match trouble {
                Trouble::Deaf => Some(Cut::BeforeWrite(house.air.writes)),
                Trouble::Mute => Some(Cut::AfterWrite(house.air.writes)),
                _ => None,
            };
            house.lock.manner = match trouble {
                Trouble::Liar => Manner::Liar,
                Trouble::Stubborn => Manner::Objects {
                    code: 0x23,
                    does_it: false,
                },
                _ => Manner::Honest,
            };
            house.ask(steps).await
        })
    }
}

struct NukiBench {
    clock: Clock,
    doorway: Doorway,
}

impl NukiBench {
    fn new(kind: Kind) -> NukiBench {
        let house = House::new(kind, 1);
        NukiBench {
            clock: Clock::real(Voucher::System),
            doorway: Doorway {
                capabilities: house.driver.capabilities().clone(),
                house: tokio::sync::Mutex::new(house),
                trouble: Mutex::new(Trouble::Over),
            },
        }
    }
}

impl Bench for NukiBench {
    fn lock(&self) -> &dyn Lock {
        &self.doorway
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn truth(&self) -> Vec<Entry> {
        let house = self.doorway.house.try_lock().unwrap();
        let entry = |code: &lock::Code| Entry {
            slot: Slot(code.id),
            pin: Pin::parse(&code.digits.to_string()),
            name: Some(code.name.clone()),
            window: code.window_ms().map_or(Window::Ongoing, |(from, until)| {
                Window::between(Timestamp(from), Timestamp(until)).unwrap()
            }),
        };
        house.lock.codes.iter().map(entry).collect()
    }

    fn stranger_adds(&self, slot: Slot, pin: &Pin) {
        let mut house = self.doorway.house.try_lock().unwrap();
        house.lock.add(slot.0, pin.expose().parse().unwrap());
    }

    fn trouble(&self, trouble: Trouble) {
        *self.doorway.trouble.lock().unwrap() = trouble;
    }
}

#[tokio::test]
async fn nuki_classic() {
    contract(|| Box::new(NukiBench::new(Kind::Classic))).await;
}

#[tokio::test]
async fn nuki_ultra() {
    contract(|| Box::new(NukiBench::new(Kind::Ultra))).await;
}
