//! The steps of one exchange over one link: look, change, prove.
//!
//! A change is never asked for twice. Where its answer is lost the finding is [`Finding::Unanswered`], and the next
//! exchange begins with the lock's own table.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::CryptoRng;
use tokio::time::timeout;

use super::bytes::Date;
use super::error::Class;
use super::link::Link;
use super::logbook::Reading;
use super::message::{Action, Answer, KeypadCode, Limit, LogbookEntry, Request, States};
use super::talk::{Talk, Trouble};
use crate::model::{
    Capabilities, Content, Deed, Entry, Finding, How, Objection, Pin, Slot, Step, Timestamp, Typed, Window,
};

/// The lock's clock may be off by so much: its windows open and end by it.
const CLOCK_MAY_BE_OFF: Duration = Duration::from_secs(30);

/// The name of the code with which a lock is tested.
const PROBE: &str = "lockbridge-probe";
/// How long it would open if it were left behind. Nobody's stay is so short and so odd, so that a code of that name which
/// somebody else made is told from it.
const PROBE_OPENS: Duration = Duration::from_secs(301);

/// What a lock is tested with: a code that soon opens nothing any more.
#[must_use]
pub fn probe(pin: Pin, now: Timestamp) -> Content {
    let starts_at = Timestamp(now.0 - now.0.rem_euclid(1000));
    Content {
        pin,
        name: Some(PROBE.to_owned()),
        window: Window::Bound {
            starts_at,
            ends_at: starts_at + PROBE_OPENS,
        },
    }
}

/// Whether a code was left behind by a test.
fn is_probe(entry: &Entry) -> bool {
    let odd = |window: Window| match window {
        Window::Bound { starts_at, ends_at } => ends_at == starts_at + PROBE_OPENS,
        Window::Ongoing => false,
    };
    entry.name.as_deref() == Some(PROBE) && odd(entry.window)
}

/// What the entries of a logbook need to be understood that were not read yet, and nobody can ask for later.
#[derive(Default)]
pub(super) struct Aside {
    /// Whose places those were that we took codes off: the lock may have given them to others since.
    gone: BTreeMap<Slot, Pin>,
    /// Its clock was found wrong, and nobody knows since when.
    clock_was_off: bool,
}

/// What an operation brought, or the finding that ends the step.
type Told<T> = Result<T, Finding>;

/// One exchange under way.
pub(super) struct Visit<'a, L, R, T> {
    pub talk: Talk<'a, L, R>,
    pub rules: &'a Capabilities,
    /// What time it is, as far as that is trusted.
    pub time: &'a T,
    pub app_id: u32,
    /// What was read since the last change.
    pub table: Option<Vec<Entry>>,
    /// Whose place is whose, if a table was read: a code may be gone when it turns up in the logbook.
    pub digits: Option<BTreeMap<Slot, Pin>>,
    pub aside: &'a mut Aside,
    /// The lock's clock is known to be right.
    pub clock_is_right: bool,
}

impl<L: Link, R: CryptoRng, T: Fn() -> Option<Timestamp>> Visit<'_, L, R, T> {
    /// Each step in order, until one goes unanswered.
    pub async fn carry_out_all(&mut self, steps: &[Step]) -> Vec<Finding> {
        let mut findings = vec![Finding::Untried; steps.len()];
        for (step, finding) in steps.iter().zip(&mut findings) {
            let told = timeout(self.rules.patience, self.carry_out(step)).await;
            *finding = told.unwrap_or(Finding::Unanswered);
            if *finding == Finding::Unanswered {
                break;
            }
        }
        findings
    }

    /// How the lock is; `None` if it does not say.
    pub async fn states(&mut self) -> Option<States> {
        let states = |answer| match answer {
            Answer::States(states) => Some(states),
            _ => None,
        };
        self.talk.ask(&Request::States, states).await.ok()
    }

    /// Reads on in its logbook, as far as it can be read. `states` are how the lock is now.
    pub async fn read_on(&mut self, reading: &mut Reading, states: &States) {
        if !self.is_near(states.time.instant()) {
            self.aside.clock_was_off = true;
            // What stands on the lock opens and ends by it, and what it writes down from here on has its time. If it refuses,
            // that is no worse than before.
            _ = self.set_clock_right().await;
        }
        while let Some(range) = reading.ask() {
            match self.talk.logbook(range).await {
                Ok(entries) => reading.hear(entries),
                Err(Trouble::Refused(code)) if code.class() == Class::Permanent => reading.refuse(),
                Err(_) => return,
            }
        }
    }

    /// What an entry of its logbook means, if somebody moved the bolt with a code.
    pub fn typed(&self, entry: &LogbookEntry) -> Option<Typed> {
        let (id, locked) = entry.what.moved_by()?;
        let slot = Slot(id);
        let shown = || self.digits.as_ref().and_then(|digits| digits.get(&slot));
        Some(Typed {
            number: entry.number,
            at: entry.at.instant().filter(|_| !self.aside.clock_was_off),
            locked,
            slot,
            pin: self.aside.gone.get(&slot).or_else(shown).cloned(),
        })
    }

    async fn carry_out(&mut self, step: &Step) -> Finding {
        let told = match step {
            Step::Put { content, stale, .. } => self.put(content, stale).await.map(Finding::Proven),
            Step::Remove { pins, .. } => self.remove(pins).await.map(Finding::Proven),
            Step::Door { deed, .. } => self.move_bolt(*deed).await.map(Finding::Proven),
            Step::Read => self.read().await.map(Finding::Table),
        };
        told.unwrap_or_else(|finding| finding)
    }

    async fn put(&mut self, content: &Content, stale: &[Pin]) -> Told<How> {
        let wanted = self.wanted(content).ok_or(Finding::Refused(Objection::Other))?;
        let table = self.look().await?;
        let same = table.iter().find(|entry| has(entry, &content.pin));
        // Digits that we never wrote are a stranger's.
        if same.is_some() && !stale.contains(&content.pin) {
            return Err(Finding::Refused(Objection::Duplicate));
        }
        let done = same.is_some_and(|entry| is(entry, content));
        let keep = same.or_else(|| table.iter().find(|entry| is_any(entry, stale)));
        let keep = keep.map(|entry| entry.slot);
        let surplus: Vec<Slot> = table
            .iter()
            .filter(|entry| Some(entry.slot) != keep && is_any(entry, stale))
            .map(|entry| entry.slot)
            .collect();
        if done && surplus.is_empty() {
            return Ok(How::ReadBack);
        }
        if !done && wanted.limit.is_some() {
            self.set_clock_right().await?;
        }
        // First: once the lock said yes to the new digits, no refusal may follow.
        for slot in surplus {
            self.take_off(slot).await?;
        }
        match keep {
            _ if done => {}
            Some(Slot(id)) => self.change(&Request::UpdateCode { id, code: &wanted }).await?,
            None => self.add(&wanted).await?,
        }
        let table = self.look_again().await?;
        let mut ours = table
            .iter()
            .filter(|entry| has(entry, &content.pin) || is_any(entry, stale));
        proven(ours.next().is_some_and(|entry| is(entry, content)) && ours.next().is_none())
    }

    async fn remove(&mut self, pins: &[Pin]) -> Told<How> {
        let ours: Vec<Slot> = self
            .look()
            .await?
            .iter()
            .filter(|entry| is_any(entry, pins))
            .map(|entry| entry.slot)
            .collect();
        if ours.is_empty() {
            return Ok(How::ReadBack);
        }
        for slot in ours {
            self.take_off(slot).await?;
        }
        let table = self.look_again().await?;
        proven(!table.iter().any(|entry| is_any(entry, pins)))
    }

    async fn move_bolt(&mut self, deed: Deed) -> Told<How> {
        let request = Request::Bolt {
            action: match deed {
                Deed::Lock => Action::Lock,
                Deed::Unlock => Action::Unlock,
            },
            app_id: self.app_id,
            suffix: None,
        };
        told(self.talk.complete(&request).await)?;
        Ok(How::Acknowledged)
    }

    async fn read(&mut self) -> Told<Vec<Entry>> {
        self.look().await?;
        self.clear_probes().await?;
        Ok(self.look().await?.to_vec())
    }

    /// Takes off what a test of the lock left behind, when its link was lost at the wrong moment.
    async fn clear_probes(&mut self) -> Told<()> {
        let table = self.table.iter().flatten();
        let left: Vec<Slot> = table
            .filter(|entry| is_probe(entry))
            .map(|entry| entry.slot)
            .collect();
        for slot in left {
            self.take_off(slot).await?;
        }
        Ok(())
    }

    /// The code as it shall stand on the lock; `None` if the lock could not hold it so.
    fn wanted(&self, content: &Content) -> Option<KeypadCode> {
        self.rules.takes(&content.pin).ok()?;
        Some(KeypadCode {
            pin: content.pin.clone(),
            name: content.name.clone().unwrap_or_default(),
            enabled: true,
            limit: match content.window {
                Window::Ongoing => None,
                Window::Bound { starts_at, ends_at } => {
                    Some(Limit::between(Date::of(starts_at)?, Date::of(ends_at)?))
                }
            },
        })
    }

    async fn look(&mut self) -> Told<&[Entry]> {
        if self.table.is_none() {
            let table = told(self.talk.table().await)?;
            let shown = table
                .iter()
                .filter_map(|entry| Some((entry.slot, entry.pin.clone()?)));
            self.digits.get_or_insert_default().extend(shown);
            self.table = Some(table);
        }
        Ok(self.table.as_deref().unwrap_or_default())
    }

    /// The table after a change. A lock that does not show it now has said neither yes nor no.
    async fn look_again(&mut self) -> Told<&[Entry]> {
        self.look().await.map_err(|_| Finding::Unanswered)
    }

    async fn add(&mut self, code: &KeypadCode) -> Told<()> {
        self.table = None;
        let id = |answer| matches!(answer, Answer::CodeId(_)).then_some(());
        told(self.talk.ask(&Request::AddCode(code), id).await)
    }

    async fn take_off(&mut self, slot: Slot) -> Told<()> {
        if let Some(pin) = self.digits.as_ref().and_then(|digits| digits.get(&slot)) {
            self.aside.gone.entry(slot).or_insert_with(|| pin.clone());
        }
        self.change(&Request::RemoveCode { id: slot.0 }).await
    }

    async fn change(&mut self, request: &Request<'_>) -> Told<()> {
        self.table = None;
        told(self.talk.complete(request).await)
    }

    /// Sets the lock's clock if it is off, and if anybody knows what time it is. Once in an exchange.
    async fn set_clock_right(&mut self) -> Told<()> {
        if self.clock_is_right || (self.time)().is_none() {
            return Ok(());
        }
        let shown = |answer| match answer {
            Answer::States(states) => Some(states.time.instant()),
            _ => None,
        };
        let shown = told(self.talk.ask(&Request::States, shown).await)?;
        let Some(now) = (self.time)() else { return Ok(()) };
        if !self.is_near(shown) {
            self.aside.clock_was_off = true;
            let date = Date::of(now).ok_or(Finding::Refused(Objection::Other))?;
            told(self.talk.complete(&Request::SetTime(date)).await)?;
        }
        self.clock_is_right = true;
        Ok(())
    }

    /// Whether the lock's clock shows what time it is, as far as that is known.
    fn is_near(&self, shown: Option<Timestamp>) -> bool {
        let near =
            |(shown, now): (Timestamp, Timestamp)| shown.since(now).max(now.since(shown)) <= CLOCK_MAY_BE_OFF;
        shown.zip((self.time)()).is_some_and(near)
    }
}

fn told<B>(brought: Result<B, Trouble>) -> Told<B> {
    brought.map_err(|trouble| {
        tracing::debug!(%trouble, "a lock did not do as it was asked");
        trouble.finding()
    })
}

fn has(entry: &Entry, pin: &Pin) -> bool {
    entry.pin.as_ref() == Some(pin)
}

fn is_any(entry: &Entry, pins: &[Pin]) -> bool {
    pins.iter().any(|pin| has(entry, pin))
}

fn is(entry: &Entry, content: &Content) -> bool {
    // The lock cannot tell an empty name from none.
    let named = entry.name.as_deref().unwrap_or_default() == content.name.as_deref().unwrap_or_default();
    has(entry, &content.pin) && named && entry.window == content.window
}

fn proven(so: bool) -> Told<How> {
    if so {
        Ok(How::ReadBack)
    } else {
        Err(Finding::Denied)
    }
}
