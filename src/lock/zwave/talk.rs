//! One question to a lock, from first look to proof, over whatever can look into a slot, write and erase.
//!
//! A slot is looked at before it is written, so that nobody else's code is touched, and after it, whatever
//! the lock or the driver said of the write. A lock that shows no digits is emptied, seen to be empty, and
//! then written; what it holds then can only be ours. So is a code that was switched off: written over, it
//! would stay so.

use std::future::Future;
use std::time::Duration;

use crate::model::{
    Capabilities, Closed, Content, Deed, Entry, Finding, How, Objection, Pin, ReadBack, Slot, Step,
    Timestamp, Window,
};

/// Looks at a bolt until it has moved, and the pause between two of them: motors need some seconds.
const BOLT_LOOKS: u32 = 8;
const BOLT_PAUSE: Duration = Duration::from_millis(1500);
/// Some locks show a change only so long after it.
const SHOWN_AFTER: Duration = Duration::from_secs(3);
/// A code that stands in the table and opens nothing: it was switched off.
const NEVER: Window = Window::Bound {
    starts_at: Timestamp::MIN,
    ends_at: Timestamp(Timestamp::MIN.0 + 1),
};

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Empty,
    /// These digits.
    Digits {
        /// Which.
        pin: Pin,
        /// They open the lock.
        enabled: bool,
    },
    /// Something that shows no digits.
    Hidden,
    /// Something that cannot be ours: letters, or a user that somebody else made.
    Foreign,
}

/// What was said to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Yes.
    Yes,
    /// No.
    No(Objection),
    /// Nothing that can be relied on: it may have been carried out or not.
    Unknown,
}

/// Why a command came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The lock does not answer.
    Silent,
    /// The radio is away.
    Away,
    /// The lock, or the driver in its place, says no.
    Refused(Objection),
}

/// What can be asked of a lock, one command at a time.
pub trait Commands: Sync {
    /// What a slot holds, by the lock's own word.
    fn look(&self, slot: Slot) -> impl Future<Output = Result<Held, Failed>> + Send;
    /// Makes a slot hold these digits; `over` what is ours there already.
    fn write(&self, slot: Slot, pin: &Pin, over: bool) -> impl Future<Output = Result<Said, Failed>> + Send;
    /// Makes a slot hold nothing.
    fn erase(&self, slot: Slot) -> impl Future<Output = Result<Said, Failed>> + Send;
    /// Where these digits stood when the lock last told of it. Asks no lock.
    fn remembered(&self, pin: &Pin) -> impl Future<Output = Result<Vec<Slot>, Failed>> + Send;
    /// Starts a bolt.
    fn move_bolt(&self, deed: Deed) -> impl Future<Output = Result<Said, Failed>> + Send;
    /// Where the bolt is: `true` is out.
    fn bolt(&self) -> impl Future<Output = Result<Option<bool>, Failed>> + Send;
    /// Waits.
    fn pause(&self, span: Duration) -> impl Future<Output = ()> + Send;
}

/// A talk with a lock.
pub struct Talk<'a, N> {
    commands: &'a N,
    lock: &'a Capabilities,
    /// Something that changes the lock was said.
    changed: bool,
    /// A read showed a code without digits.
    pub masked: bool,
}

/// What was learnt, or what the step comes to instead.
type Learnt<T> = Result<T, Finding>;

impl<'a, N: Commands> Talk<'a, N> {
    /// With a lock that takes, holds and tells this.
    pub fn new(commands: &'a N, lock: &'a Capabilities) -> Talk<'a, N> {
        Talk {
            commands,
            lock,
            changed: false,
            masked: false,
        }
    }

    /// What comes of a step.
    pub async fn carry_out(&mut self, step: &Step) -> Finding {
        self.changed = false;
        // What it holds is not looked into before it is known where it holds it.
        if self.lock.is_unknown() && !matches!(step, Step::Door { .. }) {
            return Finding::Untried;
        }
        let learnt = match step {
            Step::Put {
                slot, content, stale, ..
            } => self.put(*slot, content, stale).await.map(Finding::Proven),
            Step::Remove { slot, pins, .. } => self.remove(*slot, pins).await.map(Finding::Proven),
            Step::Door { deed, .. } => self.door(*deed).await.map(Finding::Proven),
            Step::Read => self.read().await.map(Finding::Table),
        };
        learnt.unwrap_or_else(|finding| finding)
    }

    async fn put(&mut self, slot: Slot, content: &Content, stale: &[Pin]) -> Learnt<How> {
        match self.lock.closed {
            Some(Closed::Unsecured) => return Err(Finding::Refused(Objection::Unsecured)),
            Some(Closed::NoCodes) => return Err(Finding::Refused(Objection::Other)),
            Some(Closed::NotInterviewed | Closed::OldServer) | None => {}
        }
        if !self.lock.slots().any(|known| known == slot) {
            return Err(Finding::Refused(Objection::Full));
        }
        if self.lock.takes(&content.pin).is_err() {
            return Err(Finding::Refused(Objection::Other));
        }
        let over = match self.look(slot).await? {
            Held::Empty => false,
            held if !is_ours(&held, stale) => {
                let same = matches!(held, Held::Digits { pin, .. } if pin == content.pin);
                return Err(Finding::Refused(match same {
                    true => Objection::Duplicate,
                    false => Objection::SlotTaken,
                }));
            }
            Held::Digits { pin, enabled: true } if pin == content.pin => return Ok(How::ReadBack),
            Held::Digits { enabled: true, .. } => true,
            _ => {
                self.empty(slot).await?;
                false
            }
        };
        self.refuse_twice(slot, &content.pin).await?;
        let said = self.write(slot, &content.pin, over).await?;
        let is_there = |held: &Held| match held {
            Held::Digits { pin, enabled } => *enabled && *pin == content.pin,
            // It was seen empty.
            Held::Hidden => !over,
            Held::Empty | Held::Foreign => false,
        };
        match self.look_until(slot, said, is_there).await? {
            Some(Held::Hidden) => Ok(How::Acknowledged),
            Some(_) => Ok(How::ReadBack),
            None => Err(broken(said)),
        }
    }

    async fn remove(&mut self, slot: Slot, pins: &[Pin]) -> Learnt<How> {
        if !is_ours(&self.look(slot).await?, pins) {
            return Ok(How::ReadBack);
        }
        let said = self.erase(slot).await?;
        match self.look_until(slot, said, |held| !is_ours(held, pins)).await? {
            Some(_) => Ok(How::ReadBack),
            None => Err(broken(said)),
        }
    }

    async fn read(&mut self) -> Learnt<Vec<Entry>> {
        if self.lock.read_back == ReadBack::None {
            return Err(Finding::Refused(Objection::Other));
        }
        let mut table = Vec::new();
        for slot in self.lock.slots() {
            let (pin, window) = match self.look(slot).await? {
                Held::Empty => continue,
                Held::Digits { pin, enabled: true } => (Some(pin), Window::Ongoing),
                Held::Digits { pin, enabled: false } => (Some(pin), NEVER),
                Held::Hidden | Held::Foreign => (None, Window::Ongoing),
            };
            table.push(Entry {
                slot,
                pin,
                name: None,
                window,
            });
        }
        Ok(table)
    }

    async fn door(&mut self, deed: Deed) -> Learnt<How> {
        self.changed = true;
        if let Said::No(objection) = self.commands.move_bolt(deed).await.map_err(|f| self.finding(f))? {
            return Err(Finding::Refused(objection));
        }
        for _ in 0..BOLT_LOOKS {
            let locked = self.commands.bolt().await.map_err(|f| self.finding(f))?;
            if locked == Some(deed == Deed::Lock) {
                return Ok(How::ReadBack);
            }
            self.commands.pause(BOLT_PAUSE).await;
        }
        Err(Finding::Denied)
    }

    /// Empties a slot, and sees it empty.
    async fn empty(&mut self, slot: Slot) -> Learnt<()> {
        let said = self.erase(slot).await?;
        match self.look_until(slot, said, |held| *held == Held::Empty).await? {
            Some(_) => Ok(()),
            None => Err(broken(said)),
        }
    }

    /// Digits that stand in another slot are somebody else's: a code of ours keeps its slot for life.
    async fn refuse_twice(&mut self, slot: Slot, pin: &Pin) -> Learnt<()> {
        let elsewhere = self.commands.remembered(pin).await.map_err(|f| self.finding(f))?;
        for other in elsewhere.into_iter().filter(|other| *other != slot) {
            let held = self.look(other).await?;
            if matches!(held, Held::Digits { pin: there, .. } if there == *pin) {
                return Err(Finding::Refused(Objection::Duplicate));
            }
        }
        Ok(())
    }

    /// What a slot holds after a change, if that is what it was to become. Where nobody knows what the lock made
    /// of the change, it may need a moment to show it.
    async fn look_until(
        &mut self,
        slot: Slot,
        said: Said,
        is_so: impl Fn(&Held) -> bool,
    ) -> Learnt<Option<Held>> {
        let mut held = self.look(slot).await?;
        if said == Said::Unknown && !is_so(&held) {
            self.commands.pause(SHOWN_AFTER).await;
            held = self.look(slot).await?;
        }
        Ok(Some(held).filter(is_so))
    }

    async fn look(&mut self, slot: Slot) -> Learnt<Held> {
        let held = self.commands.look(slot).await.map_err(|f| self.finding(f))?;
        self.masked |= held == Held::Hidden;
        Ok(held)
    }

    async fn write(&mut self, slot: Slot, pin: &Pin, over: bool) -> Learnt<Said> {
        self.changed = true;
        let said = self.commands.write(slot, pin, over).await;
        said.map_err(|f| self.finding(f))
    }

    async fn erase(&mut self, slot: Slot) -> Learnt<Said> {
        self.changed = true;
        self.commands.erase(slot).await.map_err(|f| self.finding(f))
    }

    fn finding(&self, failed: Failed) -> Finding {
        match (failed, self.changed) {
            (Failed::Silent, _) => Finding::Unanswered,
            (Failed::Refused(objection), _) => Finding::Refused(objection),
            (Failed::Away, true) => Finding::Cut,
            (Failed::Away, false) => Finding::Untried,
        }
    }
}

/// What it means that a lock's table does not show what it was told.
fn broken(said: Said) -> Finding {
    match said {
        Said::Yes => Finding::Denied,
        Said::No(objection) => Finding::Refused(objection),
        // Most locks give no reason, and some say nothing at all.
        Said::Unknown => Finding::Refused(Objection::Other),
    }
}

/// Whether a slot holds a code of ours that goes by one of these digits; never asked, there is none.
fn is_ours(held: &Held, pins: &[Pin]) -> bool {
    match held {
        Held::Empty | Held::Foreign => false,
        Held::Digits { pin, .. } => pins.contains(pin),
        Held::Hidden => !pins.is_empty(),
    }
}

#[cfg(test)]
mod tests;
