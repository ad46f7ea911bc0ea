//! Carries out pairings, tests and unpairings, one at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::bond::Bond;
use super::device_id;
use super::errand::{self, Errand, Problem, Said, Step};
use super::lock::PairedLock;
use super::look::{Looked, look_at};
use super::{Household, Unpaired};
use crate::clock::Clock;
use crate::lock::Fact;
use crate::lock::ble::{Address, NoLink};
use crate::lock::nuki::{
    self, Characteristic, Credentials, ErrorCode, Kept, PairingError, SecurityPin, Survey, pair, probe,
};
use crate::model::{self, Bookmark, CodeId, Entry, Finding, Pin, Slot};

/// For somebody to get up, go to the door and hold a button.
const BUTTON_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at whether the button was held.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Links on which a lock that was just paired, or is known, may be looked at.
const LOOKS: usize = 3;
/// Links on which a probe is tried to be taken off.
const REMOVALS: usize = 3;

/// What is to be done.
pub(super) enum Order {
    Pair {
        address: Address,
        pin: SecurityPin,
        name: Option<String>,
    },
    Test(Arc<PairedLock>),
    Unpair {
        address: Address,
        insists: bool,
        /// `None` if it is not paired.
        tell: oneshot::Sender<Option<Unpaired>>,
    },
}

/// A lock's key, and whether the lock said that it counts on it: where its last word was lost it may do so all the same.
struct Shaken {
    credentials: Credentials,
    confirmed: bool,
}

/// Tells whoever looks on if an errand is given up in the middle.
struct Interrupts<'a>(&'a watch::Sender<Option<Errand>>);

impl Drop for Interrupts<'_> {
    fn drop(&mut self) {
        self.0.send_modify(errand::interrupt);
    }
}

/// The lock does not know us, as far as anybody can tell.
struct Unsettled(Problem);

/// What became of a lock that was to be taken up again.
enum TakenUp {
    /// Its key counts, or it is not its turn to be replaced.
    Told(Result<(), Problem>),
    /// The lock says that it does not know us under it.
    Stranger,
    /// It says nothing.
    Mute,
}

impl Household {
    pub(super) async fn carry_out(&self, order: Order) {
        let _given_up = Interrupts(&self.errand);
        match order {
            Order::Pair { address, pin, name } => self.end_with(self.pair_with(address, &pin, name).await),
            Order::Test(lock) => self.end_with(self.try_out(&lock).await),
            Order::Unpair {
                address,
                insists,
                tell,
            } => {
                let unpaired = self.forget(address, insists).await;
                self.end_with(match &unpaired {
                    Some(Unpaired::Not(problem)) => Err(problem.clone()),
                    Some(Unpaired::Forgotten(_)) | None => Ok(()),
                });
                // Last of all, for whoever is told so may begin the next. He may have gone, too.
                let _ = tell.send(unpaired);
            }
        }
    }

    fn end_with(&self, ended: Result<(), Problem>) {
        if let Err(problem) = &ended {
            tracing::warn!(%problem, "a pairing, test or unpairing of a lock came to nothing");
        }
        self.errand.send_modify(|errand| {
            if let Some(errand) = errand {
                errand.end = Some(ended);
            }
        });
    }

    fn reached(&self, step: Step) {
        tracing::info!(step = step.word(), "{}", step.sentence());
        let at = self.clock.now().wall;
        self.errand.send_modify(|errand| {
            if let Some(errand) = errand {
                errand.steps.push(Said { at, step });
            }
        });
    }

    /// Forgets a lock; `None` if it is not paired. From the first moment on it takes no codes, and is asked nothing but to delete
    /// us.
    async fn forget(&self, address: Address, insists: bool) -> Option<Unpaired> {
        let lock = self.locks().get(&address).map(Arc::clone)?;
        let device = device_id(address);
        let (tell, told) = oneshot::channel();
        self.say(Fact::Forget(device, insists, tell));
        match told.await {
            Ok(Ok(())) => {}
            Ok(Err(codes)) => return Some(Unpaired::Not(Problem::InUse { codes })),
            Err(_) => return Some(Unpaired::Not(Problem::Interrupted)),
        }
        // Before it is forgotten: after an interruption it can be said again.
        let goodbye = lock.say_goodbye().await;
        self.locks().remove(&address);
        self.tell_ours();
        Some(match self.keep(device, None).await {
            true => Unpaired::Forgotten(goodbye),
            false => Unpaired::Not(Problem::Interrupted),
        })
    }

    async fn pair_with(
        &self,
        address: Address,
        pin: &SecurityPin,
        name: Option<String>,
    ) -> Result<(), Problem> {
        let lock = self.locks().get(&address).map(Arc::clone);
        // An exchange that is under way with it comes to its end first, and no other begins.
        let quiet = match &lock {
            Some(lock) => Some(lock.quiet().await),
            None => None,
        };
        let read = quiet.as_ref().map(|driver| driver.bookmark()).unwrap_or_default();
        if self.air.is_locked_out(address) {
            return Err(Problem::LockedOut);
        }
        let before = lock.as_ref().map(|lock| lock.bond());
        let given = |bond: &Bond| bond.named.then(|| bond.name.clone());
        let name = name.or_else(|| before.as_ref().and_then(given));
        let same_model = |bond: &&Bond| bond.credentials.model == pin.model();
        let mut twice = before
            .as_ref()
            .is_some_and(|known| known.twice || !same_model(&known));
        if let Some(known) = before.as_ref().filter(same_model) {
            self.reached(Step::Known);
            for bond in [Some(known), known.before.as_deref()].into_iter().flatten() {
                match self.take_up(bond, pin, name.as_deref(), read).await {
                    TakenUp::Told(told) => return told,
                    TakenUp::Stranger => {}
                    TakenUp::Mute => twice = true,
                }
            }
        }
        self.reached(Step::Button);
        // Of two keys, of which the newer one opened nothing just now, the one that the lock counted on.
        let last = before.clone().map(|bond| match bond.before {
            Some(before) => before,
            None => Box::new(bond),
        });
        let new = |credentials: &Credentials| Bond {
            before: last.clone(),
            twice,
            ..Bond::new(address, credentials.clone(), pin.clone(), name.as_deref())
        };
        let told = match self.shake_hands(address, pin, &new).await {
            Ok(Shaken {
                credentials,
                confirmed,
            }) => {
                let bond = Bond {
                    before: None,
                    ..new(&credentials)
                };
                if confirmed {
                    self.reached(Step::Confirmed);
                }
                let looked = look_at(&self.air, self.randomness, &bond, LOOKS).await;
                self.settle(bond, looked, confirmed, Bookmark::Unread).await
            }
            Err(problem) => Err(Unsettled(problem)),
        };
        match told {
            Ok(told) => told,
            Err(Unsettled(problem)) => {
                // Nothing new was kept, or it is of no use: what was known before may be.
                self.keep_bond(address, before.as_ref()).await;
                Err(problem)
            }
        }
    }

    /// Takes a lock up again that is known, and whose logbook was read so far.
    async fn take_up(&self, known: &Bond, pin: &SecurityPin, name: Option<&str>, read: Bookmark) -> TakenUp {
        let bond = Bond {
            pin: Some(pin.clone()),
            name: name.map_or_else(|| known.name.clone(), str::to_owned),
            named: name.is_some(),
            before: None,
            ..known.clone()
        };
        let is_another = |known: &SecurityPin| *known.digits() != *pin.digits();
        TakenUp::Told(match look_at(&self.air, self.randomness, &bond, LOOKS).await {
            // The one from before may be right, and somebody mistyped.
            Looked::WrongPin if known.pin.as_ref().is_some_and(is_another) => {
                Err(Problem::WrongPin { paired: true })
            }
            Looked::LockedOut => Err(Problem::LockedOut),
            Looked::Declined(code) => Err(Problem::Declined(code)),
            // It was reset, or somebody deleted us there: then it may say nothing at all, or end the link.
            Looked::Stranger => return TakenUp::Stranger,
            Looked::NoLink(NoLink::Silent | NoLink::Failed) => return TakenUp::Mute,
            Looked::NoLink(none) => Err(none.into()),
            looked @ (Looked::Well(_) | Looked::WrongPin) => {
                match self.settle(bond, looked, true, read).await {
                    Ok(told) => told,
                    Err(Unsettled(problem)) => Err(problem),
                }
            }
        })
    }

    /// Takes a lock in that was paired, as far as a look at it tells what it is. One that says that it does not know us, and
    /// did not say that it does, is none.
    async fn settle(
        &self,
        bond: Bond,
        looked: Looked,
        confirmed: bool,
        read: Bookmark,
    ) -> Result<Result<(), Problem>, Unsettled> {
        let (bond, survey, problem) = match looked {
            Looked::Well(survey) => (bond, Some(survey), None),
            Looked::WrongPin => {
                let bond = Bond { pin: None, ..bond };
                (bond, None, Some(Problem::WrongPin { paired: true }))
            }
            Looked::LockedOut => (bond, None, Some(Problem::LockedOut)),
            Looked::Declined(code) => (bond, None, Some(Problem::Declined(code))),
            Looked::Stranger if confirmed => (bond, None, Some(Problem::Declined(ErrorCode::NOT_AUTHORIZED))),
            Looked::NoLink(none) if confirmed => (bond, None, Some(Problem::Unchecked(none))),
            // The last word did not reach it, most likely: what is of no use is not kept.
            Looked::Stranger | Looked::NoLink(_) => return Err(Unsettled(Problem::NotKnown)),
        };
        Ok(self.take_in(bond, survey, read).await.and(match problem {
            Some(problem) => Err(problem),
            None => Ok(()),
        }))
    }

    /// Pairs as soon as somebody has held the button.
    async fn shake_hands(
        &self,
        address: Address,
        pin: &SecurityPin,
        new: &(dyn Fn(&Credentials) -> Bond + Send + Sync),
    ) -> Result<Shaken, Problem> {
        let attempt = || self.try_to_shake_hands(address, pin, new);
        let shaken = again_and_again(&self.clock, BUTTON_WITHIN, attempt).await;
        shaken.unwrap_or(Err(Problem::TimedOut))
    }

    /// The same once; `None` if the button was not held so far.
    async fn try_to_shake_hands(
        &self,
        address: Address,
        pin: &SecurityPin,
        new: &(dyn Fn(&Credentials) -> Bond + Send + Sync),
    ) -> Option<Result<Shaken, Problem>> {
        let door = Characteristic::Pairing(pin.model()).uuid();
        let mut link = match self.air.link(address, door).await {
            Ok(link) => link,
            Err(NoLink::Silent | NoLink::Unheard | NoLink::Failed | NoLink::Untried) => return None,
            Err(none) => return Some(Err(none.into())),
        };
        let kept = Mutex::new(None);
        let keep = |credentials: &Credentials| -> Kept<'_> {
            self.reached(Step::Pairing);
            let keeping = self.keep_bond(address, Some(&new(credentials)));
            let (kept, credentials) = (&kept, credentials.clone());
            Box::pin(async move {
                let is_kept = keeping.await;
                if is_kept {
                    self.reached(Step::Kept);
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
                }
                is_kept
            })
        };
        let mut rng = (self.randomness)();
        let shaken = pair(&mut link, &mut rng, self.applicant.clone(), pin.clone(), &keep).await;
        drop(link);
        let kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (shaken, kept) {
            (Ok(credentials), _) => Some(Ok(Shaken {
                credentials,
                confirmed: true,
            })),
            // The last word was lost.
            (Err(_), Some(credentials)) => Some(Ok(Shaken {
                credentials,
                confirmed: false,
            })),
            (Err(PairingError::NotPairing | PairingError::Link(_)), None) => None,
            (Err(error), None) => {
                if error == PairingError::Refused(ErrorCode::TOO_MANY_PINS) {
                    self.air.lock_out(address);
                }
                Some(Err(error.into()))
            }
        }
    }

    /// Keeps what is known of a lock, and makes it one of this gateway's.
    async fn take_in(&self, bond: Bond, survey: Option<Survey>, read: Bookmark) -> Result<(), Problem> {
        let mut bond = bond;
        if let Some(survey) = &survey {
            self.reached(Step::PinRight);
            bond.keypad = survey.config.has_keypad;
            let name = survey.config.name.trim();
            if !bond.named && !name.is_empty() {
                bond.name = name.to_owned();
            }
        }
        if !self.keep_bond(bond.address, Some(&bond)).await {
            return Err(Problem::Interrupted);
        }
        let (name, keypad) = (bond.name.clone(), bond.keypad);
        self.meet(bond, read);
        if survey.is_some() {
            self.reached(Step::Met { name, keypad });
        }
        Ok(())
    }

    /// Reads the lock's table, adds a code, and takes it off again.
    async fn try_out(&self, lock: &PairedLock) -> Result<(), Problem> {
        let table = match one(lock.ask(&[model::Step::Read]).await?) {
            Finding::Table(table) => table,
            finding => return Err(Problem::of("read", &finding)),
        };
        self.reached(Step::Read { codes: table.len() });
        let pin = draw(&mut *(self.randomness)(), &table);
        let code = CodeId(Uuid::nil());
        let put = model::Step::Put {
            code,
            generation: 1,
            slot: Slot(0),
            content: probe(pin.clone(), self.clock.now().wall),
            stale: Vec::new(),
        };
        let added = match lock.ask(&[put]).await.map(one) {
            Ok(Finding::Proven(_)) => {
                self.reached(Step::Added);
                Ok(())
            }
            // Nothing was added.
            Ok(finding @ Finding::Refused(_)) => return Err(Problem::of("add", &finding)),
            Ok(finding) => Err(Problem::of("add", &finding)),
            Err(none) => return Err(none.into()),
        };
        let remove = [model::Step::Remove {
            code,
            generation: 2,
            slot: Slot(0),
            pins: vec![pin],
        }];
        let mut left = Problem::Interrupted;
        for _ in 0..REMOVALS {
            match lock.ask(&remove).await.map(one) {
                Ok(Finding::Proven(_)) => {
                    self.reached(Step::Removed);
                    return added;
                }
                Ok(finding) => left = Problem::of("remove", &finding),
                Err(none) => left = none.into(),
            }
        }
        Err(Problem::ProbeLeft(Box::new(left)))
    }
}

/// Tries until something comes of it, and begins nothing after the limit. What has begun is not cut off.
async fn again_and_again<T, F: Future<Output = Option<T>>>(
    clock: &Clock,
    within: Duration,
    mut attempt: impl FnMut() -> F,
) -> Option<T> {
    let until = clock.now().mono + within;
    while clock.now().mono < until {
        if let Some(came) = attempt().await {
            return Some(came);
        }
        clock.sleep(LOOK_AGAIN).await;
    }
    None
}

fn one(findings: Vec<Finding>) -> Finding {
    findings.into_iter().next().unwrap_or(Finding::Unanswered)
}

/// Digits that a lock takes and does not hold.
fn draw(rng: &mut dyn Rng, table: &[Entry]) -> Pin {
    let rules = nuki::capabilities();
    loop {
        let digits: String = (0..6)
            .map(|_| char::from(rng.random_range(b'1'..=b'9')))
            .collect();
        let drawn = Pin::parse(&digits).filter(|pin| rules.takes(pin).is_ok());
        if let Some(pin) = drawn.filter(|pin| table.iter().all(|entry| entry.pin.as_ref() != Some(pin))) {
            return pin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Voucher;

    #[tokio::test]
    async fn a_handshake_that_begins_in_time_is_not_cut_off_and_none_begins_later() {
        for (button_at, comes) in [(117, true), (130, false)] {
            let clock = Clock::real(Voucher::System);
            let started = clock.now().mono;
            let held = started + Duration::from_secs(button_at);
            let attempt = async || {
                if clock.now().mono < held {
                    return None;
                }
                clock.sleep(Duration::from_secs(10)).await;
                Some(())
            };
            let waiting = again_and_again(&clock, BUTTON_WITHIN, attempt);
            let passing = async {
                loop {
                    tokio::task::yield_now().await;
                    if let Some(due) = clock.next_sleeper() {
                        clock.jump_to(due);
                    }
                }
            };
            let came = tokio::select! {
                came = waiting => came,
                () = passing => None,
            };
            assert_eq!(came.is_some(), comes, "held after {button_at} s");
        }
    }
}
