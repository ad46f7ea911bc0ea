//! The radio, as all paired locks share it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::clock::Clock;
use crate::lock::ble::{Address, BleLink, NoLink, Radio, Sighting};
use crate::lock::nuki::{Characteristic, Link, LinkLost};
use crate::model::{Mono, Outage};

/// For a link to a lock that was heard lately, from the first attempt on.
pub(super) const LINK_WITHIN: Duration = Duration::from_secs(45);
/// For one that was not: it is most likely away, and is asked again when it is heard.
const UNHEARD_WITHIN: Duration = Duration::from_secs(10);
/// While many links are made little is heard.
const LATELY: Duration = Duration::from_secs(300);
/// A radio that goes away ends its links some moments before or after it says so.
const SETTLES: Duration = Duration::from_millis(500);
/// A lock that took too many wrong security PINs is told none for so long.
const LOCKED_OUT_FOR: Duration = Duration::from_secs(1800);

/// The radio, and whether it is there.
pub(super) struct Air {
    clock: Clock,
    /// `None` before it was opened, and once the gateway ends.
    radio: Mutex<Option<Radio>>,
    sky: watch::Sender<Sky>,
    /// Locks that take no security PIN, and until when they are told none.
    locked_out: Mutex<BTreeMap<Address, Mono>>,
}

/// How the radio is.
#[derive(Clone, Copy)]
struct Sky {
    outage: Option<Outage>,
    /// How often all links ended.
    cuts: u64,
}

impl Air {
    pub fn new(clock: Clock) -> Air {
        Air {
            clock,
            radio: Mutex::default(),
            sky: watch::Sender::new(Sky {
                outage: Some(Outage::Daemon),
                cuts: 0,
            }),
            locked_out: Mutex::default(),
        }
    }

    /// There is a radio from here on, or none any more.
    pub fn set(&self, radio: Option<Radio>) {
        *whole(&self.radio) = radio;
    }

    fn radio(&self) -> Option<Radio> {
        whole(&self.radio).clone()
    }

    /// The radio tells which locks are ours.
    pub fn set_ours(&self, ours: BTreeSet<Address>) {
        if let Some(radio) = self.radio() {
            radio.set_ours(ours);
        }
    }

    /// It works.
    pub fn came_up(&self) {
        self.sky.send_modify(|sky| sky.outage = None);
    }

    /// It went away: all links ended.
    pub fn went_down(&self, outage: Outage) {
        self.sky.send_modify(|sky| {
            sky.outage = Some(outage);
            sky.cuts += 1;
        });
    }

    /// All links ended, and the radio goes on.
    pub fn was_cut(&self) {
        self.sky.send_modify(|sky| sky.cuts += 1);
    }

    /// Why there is no radio.
    pub fn outage(&self) -> Option<Outage> {
        self.sky.borrow().outage
    }

    /// How often all links ended so far.
    pub fn cuts(&self) -> u64 {
        self.sky.borrow().cuts
    }

    /// Whether all links ended since there were so many cuts, be it a moment from now.
    pub async fn was_cut_since(&self, cuts: u64) -> bool {
        let mut sky = self.sky.subscribe();
        timeout(SETTLES, sky.wait_for(|sky| sky.cuts != cuts))
            .await
            .is_ok()
    }

    /// A link on which the indications of a characteristic are on.
    pub async fn link(&self, address: Address, indicates: Uuid) -> Result<BleLink, NoLink> {
        let radio = self.radio().ok_or(NoLink::Over)?;
        let heard = radio.sighting(address).map(|sighting| sighting.at);
        let lately = heard.is_some_and(|at| self.clock.now().mono < at + LATELY);
        let within = match lately {
            true => LINK_WITHIN,
            false => UNHEARD_WITHIN,
        };
        match radio.link(address, indicates, within).await {
            Err(NoLink::Silent) if !lately => Err(NoLink::Unheard),
            told => told,
        }
    }

    pub fn sightings(&self) -> BTreeMap<Address, Sighting> {
        self.radio().map(|radio| radio.sightings()).unwrap_or_default()
    }

    /// A lock takes no security PIN for a while, after too many wrong ones.
    pub fn lock_out(&self, address: Address) {
        let now = self.clock.now().mono;
        let mut locked_out = whole(&self.locked_out);
        locked_out.retain(|_, until| now < *until);
        locked_out.insert(address, now + LOCKED_OUT_FOR);
        tracing::warn!(
            %address,
            "the lock takes no security PIN after too many wrong ones; it is told none for half an hour"
        );
    }

    /// Whether a lock must not be told a security PIN for now.
    pub fn is_locked_out(&self, address: Address) -> bool {
        let now = self.clock.now().mono;
        whole(&self.locked_out)
            .get(&address)
            .is_some_and(|until| now < *until)
    }
}

fn whole<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two statements, so that a panic elsewhere harms nothing.
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link for BleLink {
    async fn write(&mut self, to: Characteristic, message: &[u8]) -> Result<(), LinkLost> {
        self.write_to(to.uuid(), message).await.map_err(|_| LinkLost)
    }

    async fn next(&mut self) -> Result<Vec<u8>, LinkLost> {
        self.indicated().await.map_err(|_| LinkLost)
    }
}
