//! One paired lock: a link when there is work, the exchange, and what it tells beside.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::air::Air;
use super::bond::Bond;
use super::errand::Errand;
use super::goodbye::{self, Lingering};
use super::look::{Looked, look_at};
use super::{Randomness, device_id};
use crate::clock::{Busy, Clock};
use crate::lock::ble::{Address, BleLink, NoLink};
use crate::lock::nuki::message::States;
use crate::lock::nuki::{self, Characteristic, NukiDriver, Visited};
use crate::lock::{Fact, Findings, Lock, Report};
use crate::model::{BATTERY_LOW, Bookmark, Capabilities, DeviceId, Finding, Objection, Outcome, Step, Word};

/// What a lock's state says where its bolt is out, and where it is in.
const LOCKED: u8 = 1;
const UNLOCKED: u8 = 3;

pub(super) struct PairedLock {
    pub address: Address,
    held: Mutex<Held>,
    capabilities: Capabilities,
    /// One talk with it at a time.
    driver: tokio::sync::Mutex<NukiDriver>,
    /// What it said of itself last, so that nothing is told twice.
    told: Mutex<Option<States>>,
    /// A pairing, a test or an unpairing goes before everything else.
    errand: watch::Receiver<Option<Errand>>,
    air: Arc<Air>,
    clock: Clock,
    report: Report,
    randomness: Randomness,
}

/// What is known of it.
struct Held {
    bond: Bond,
    /// It is being forgotten, or was paired anew: nothing begins with it any more, and of what is still under way nothing is
    /// kept.
    is_let_go: bool,
}

impl PairedLock {
    /// `read`: how far its logbook was read.
    pub fn new(
        bond: Bond,
        read: Bookmark,
        errand: watch::Receiver<Option<Errand>>,
        air: Arc<Air>,
        clock: Clock,
        report: Report,
        randomness: Randomness,
    ) -> PairedLock {
        PairedLock {
            address: bond.address,
            capabilities: bond.capabilities(),
            driver: tokio::sync::Mutex::new(driver(&bond).reading_on(read)),
            held: Mutex::new(Held {
                bond,
                is_let_go: false,
            }),
            told: Mutex::default(),
            errand,
            air,
            clock,
            report,
            randomness,
        }
    }

    pub fn name(&self) -> String {
        self.held().bond.name.clone()
    }

    pub fn bond(&self) -> Bond {
        self.held().bond.clone()
    }

    /// It is not ours any more: nothing more begins with it, and nothing of it is kept.
    pub fn let_go(&self) {
        self.held().is_let_go = true;
    }

    /// Lets it go, and has it delete us from its users, if it is in reach within half a minute.
    pub async fn say_goodbye(&self) -> Result<(), Lingering> {
        self.let_go();
        let reach = async {
            let mut driver = self.driver.lock().await;
            if self.held().bond.before.is_some() {
                self.choose_bond(&mut driver)
                    .await
                    .map_err(Lingering::Unreached)?;
            }
            if self.air.is_locked_out(self.address) {
                return Err(Lingering::NoPin);
            }
            driver.let_in();
            if !driver.has_pin() {
                return Err(Lingering::NoPin);
            }
            let everyday = Characteristic::Everyday.uuid();
            let link = self.air.link(self.address, everyday).await;
            Ok((driver, link.map_err(Lingering::Unreached)?))
        };
        let reached = timeout(goodbye::REACHED_WITHIN, reach).await;
        // Whoever was before us took too long.
        let (mut driver, mut link) = reached.unwrap_or(Err(Lingering::Unreached(NoLink::Untried)))?;
        let mut rng = (self.randomness)();
        let told = timeout(goodbye::ANSWERS_WITHIN, driver.be_deleted(&mut link, &mut rng)).await;
        if driver.is_locked_out() {
            self.air.lock_out(self.address);
        }
        goodbye::outcome(told.ok(), self.held().bond.twice)
    }

    /// Waits until what is under way with it is over, and lets nothing begin meanwhile.
    pub async fn quiet(&self) -> tokio::sync::MutexGuard<'_, NukiDriver> {
        self.driver.lock().await
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Whole between any two statements, so that a panic elsewhere harms nothing.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> DeviceId {
        device_id(self.address)
    }

    /// Asks the lock over one link, whoever else wants to ask it meanwhile.
    pub async fn ask(&self, steps: &[Step]) -> Result<Vec<Finding>, NoLink> {
        self.ask_unless(steps, std::future::pending()).await
    }

    /// The same, unless something else comes first before there is a link.
    async fn ask_unless(
        &self,
        steps: &[Step],
        comes_first: impl Future<Output = ()> + Send,
    ) -> Result<Vec<Finding>, NoLink> {
        let reach = pin!(async {
            let mut driver = self.driver.lock().await;
            if self.held().is_let_go {
                return Err(NoLink::Untried);
            }
            if self.held().bond.before.is_some() {
                self.choose_bond(&mut driver).await?;
            }
            let is_locked_out = self.air.is_locked_out(self.address);
            if !is_locked_out {
                driver.let_in();
            }
            let at_door = steps.iter().any(|step| matches!(step, Step::Door { .. }));
            if (is_locked_out || !driver.has_pin()) && !at_door {
                // It is not even connected to.
                return Ok(None);
            }
            let everyday = Characteristic::Everyday.uuid();
            let link = self.air.link(self.address, everyday).await?;
            Ok(Some((driver, link)))
        });
        let reached = tokio::select! {
            biased;
            () = comes_first => return Err(NoLink::Untried),
            reached = reach => reached?,
        };
        match reached {
            Some((mut driver, link)) => Ok(self.talk(&mut driver, link, steps).await),
            None => Ok(vec![Finding::Refused(Objection::Credential); steps.len()]),
        }
    }

    /// An exchange over a link that has just come about.
    async fn talk(&self, driver: &mut NukiDriver, mut link: BleLink, steps: &[Step]) -> Vec<Finding> {
        let cuts = self.air.cuts();
        let now = self.clock.now().mono;
        let is_late = |step: &Step| matches!(step, Step::Door { not_after, .. } if *not_after < now);
        // Somebody who stood at the door while the link came about has gone.
        let wanted: Vec<Step> = steps.iter().filter(|step| !is_late(step)).cloned().collect();
        if wanted.is_empty() {
            return vec![Finding::Untried; steps.len()];
        }
        let had_pin = driver.has_pin();
        let was_locked_out = driver.is_locked_out();
        let mut rng = (self.randomness)();
        let time = || self.clock.certain();
        let Visited {
            findings: found,
            states,
            logbook,
        } = driver.exchange(&mut link, &mut rng, &time, &wanted).await;
        drop(link);
        if driver.is_locked_out() && !was_locked_out {
            self.air.lock_out(self.address);
        }
        if had_pin && !driver.has_pin() {
            self.keep_wrong_pin().await;
        }
        if let Some(states) = states {
            self.note_states(states);
        }
        if let Some(logbook) = logbook {
            (self.report)(Fact::Logged(self.id(), logbook));
        }
        let was_cut = found.contains(&Finding::Unanswered) && self.air.was_cut_since(cuts).await;
        let mut found = found.into_iter().map(|finding| match finding {
            Finding::Unanswered if was_cut => Finding::Cut,
            other => other,
        });
        let finding = |step| match is_late(step) {
            true => Finding::Untried,
            false => found.next().unwrap_or(Finding::Untried),
        };
        steps.iter().map(finding).collect()
    }

    /// It was paired again, and the gateway stopped before it knew whether the lock knows that: the lock counts on the new
    /// key or on the one before.
    async fn choose_bond(&self, driver: &mut NukiDriver) -> Result<(), NoLink> {
        let new = self.bond();
        let Some(before) = new.before.clone() else {
            return Ok(());
        };
        for bond in [Bond { before: None, ..new }, *before] {
            let pin = match look_at(&self.air, self.randomness, &bond, 1).await {
                Looked::Well(_) | Looked::LockedOut | Looked::Declined(_) => bond.pin.clone(),
                Looked::WrongPin => None,
                Looked::Stranger | Looked::NoLink(NoLink::Silent | NoLink::Failed) => continue,
                Looked::NoLink(none) => return Err(none),
            };
            let bond = Bond { pin, ..bond };
            *driver = self::driver(&bond).reading_on(driver.bookmark());
            self.keep(|held| *held = bond).await;
            return Ok(());
        }
        Err(NoLink::Silent)
    }

    /// Tells what has changed of battery and bolt.
    fn note_states(&self, states: States) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for word in news(told.as_ref(), &states) {
            (self.report)(Fact::Told(self.id(), word));
        }
        *told = Some(states);
    }

    /// A wrong security PIN is not tried again, after no start either: a few wrong ones lock everybody out.
    async fn keep_wrong_pin(&self) {
        tracing::error!(
            device = %self.id(),
            "the lock refuses the security PIN, and is asked nothing more: pair it again with the right one"
        );
        self.keep(|bond| bond.pin = None).await;
    }

    /// Has a change of what is known kept, and returns once that is durable, or is not to be.
    async fn keep(&self, change: impl FnOnce(&mut Bond)) {
        let durable = {
            let mut held = self.held();
            change(&mut held.bond);
            if held.is_let_go {
                return;
            }
            let credential = match held.bond.seal() {
                Ok(credential) => credential,
                Err(error) => {
                    return tracing::error!(device = %self.id(), %error, "a lock's key cannot be kept");
                }
            };
            let (kept, durable) = oneshot::channel();
            // Whoever lets it go later says so after this.
            (self.report)(Fact::Keep(self.id(), Some(credential), kept));
            durable
        };
        // If the gateway stops before, the lock is asked once more after the next start.
        let _ = durable.await;
    }

    /// Waits until a pairing, a test or an unpairing of this lock is under way.
    async fn errand_begins(&self) {
        let mut errand = self.errand.clone();
        let ours = |errand: &Option<Errand>| {
            errand
                .as_ref()
                .is_some_and(|errand| errand.is_under_way() && errand.address == self.address)
        };
        let begun = errand.wait_for(ours).await.is_ok();
        if !begun {
            std::future::pending::<()>().await;
        }
    }
}

fn driver(bond: &Bond) -> NukiDriver {
    NukiDriver::new(bond.credentials.clone(), bond.pin.clone(), nuki::capabilities())
}

impl Lock for PairedLock {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn exchange<'a>(&'a self, steps: &'a [Step], _busy: &'a Busy) -> Findings<'a> {
        Box::pin(async move {
            let asked = self.ask_unless(steps, self.errand_begins()).await;
            asked.unwrap_or_else(|none| {
                tracing::debug!(device = %self.id(), %none, "no link to a lock");
                match none {
                    // It is not to blame.
                    NoLink::Radio(_) | NoLink::Untried | NoLink::Over => {
                        vec![Finding::Untried; steps.len()]
                    }
                    NoLink::Silent | NoLink::Unheard | NoLink::Misfit | NoLink::Failed => {
                        Outcome::silence(steps.len(), Duration::ZERO).findings
                    }
                }
            })
        })
    }
}

/// What is new in how a lock is.
fn news(before: Option<&States>, now: &States) -> Vec<Word> {
    let bolt = |states: &States| match states.bolt {
        LOCKED => Some(true),
        UNLOCKED => Some(false),
        _ => None,
    };
    // Old firmware tells no percents.
    let percent = |states: &States| (states.battery_percent > 0).then(|| states.battery_percent.min(100));
    // Who hears of few percents needs no other word.
    let is_low = |states: &States| {
        states.battery_critical && percent(states).is_none_or(|percent| percent >= BATTERY_LOW)
    };
    let keypad_is_low = |states: &States| states.keypad_battery_critical == Some(true);
    let mut words = Vec::new();
    if let Some(locked) = bolt(now).filter(|_| before.map(bolt) != Some(bolt(now))) {
        words.push(Word::Bolt(Some(locked)));
    }
    if let Some(percent) = percent(now).filter(|now| before.and_then(percent) != Some(*now)) {
        words.push(Word::Battery(percent));
    }
    if is_low(now) && !before.is_some_and(is_low) {
        words.push(Word::BatteryLow);
    }
    if keypad_is_low(now) && !before.is_some_and(keypad_is_low) {
        tracing::warn!("the battery of a lock's keypad is nearly empty");
        words.push(Word::BatteryLow);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::nuki::Date;

    fn states(percent: u8, critical: bool, keypad: Option<bool>) -> States {
        States {
            bolt: LOCKED,
            time: Date::NONE,
            battery_critical: critical,
            battery_percent: percent,
            keypad_battery_critical: keypad,
        }
    }

    #[test]
    fn an_empty_battery_is_told_once_in_one_word() {
        let told = |states| {
            let words = news(None, &states).into_iter();
            words
                .filter(|word| !matches!(word, Word::Bolt(_)))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(states(90, false, None)), [Word::Battery(90)]);
        assert_eq!(told(states(9, true, None)), [Word::Battery(9)]);
        assert_eq!(
            told(states(40, true, None)),
            [Word::Battery(40), Word::BatteryLow]
        );
        // Firmware that tells no percents.
        assert_eq!(told(states(0, false, None)), []);
        assert_eq!(told(states(0, true, None)), [Word::BatteryLow]);
        let keypad = states(90, false, Some(true));
        assert_eq!(
            news(Some(&states(90, false, Some(false))), &keypad),
            [Word::BatteryLow]
        );
        assert_eq!(news(Some(&keypad), &keypad), []);
    }
}
