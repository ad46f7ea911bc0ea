//! One lock of this family: who we are to it, its security PIN, its rules.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::CryptoRng;
use tokio::time::timeout;

use super::link::Link;
use super::logbook::Reading;
use super::message::{Answer, Config, Request, States};
use super::secret::{Credentials, PinState, SecurityPin};
use super::talk::{Talk, Trouble};
use super::visit::{Aside, Visit};
use crate::model::{
    Addressing, Alphabet, Bookmark, Capabilities, Finding, Logbook, NativeWindow, ReadBack, Step, Timestamp,
};

/// For a look at how the lock is, which is no part of what was asked.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// For a look at its logbook, which is none either, and may be long.
const LOGBOOK_WITHIN: Duration = Duration::from_secs(20);
/// What an exchange takes at most beyond its steps.
pub const LOOKS_WITHIN: Duration = LOOK_WITHIN.saturating_add(LOGBOOK_WITHIN);

/// What a lock with a keypad takes, holds and tells.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        lengths: BTreeSet::from([6]),
        alphabet: Alphabet::NO_ZERO,
        forbidden_prefixes: vec!["12".to_owned()],
        forbidden_patterns: BTreeSet::new(),
        // What the vendor speaks of. A lock that holds fewer says so when it is full.
        capacity: 100,
        reserved: BTreeSet::new(),
        closed: None,
        name_limit: 20,
        read_back: ReadBack::Full,
        window: NativeWindow::Seconds,
        door: true,
        addressing: Addressing::GivenByLock,
        batch: true,
        // A full table takes ten seconds and more to read, and a change is read back.
        patience: Duration::from_secs(45),
    }
}

/// One lock, whatever link leads to it. Of codes it remembers nothing but what an unread logbook may speak of.
pub struct NukiDriver {
    credentials: Credentials,
    /// Each wrong try brings a lockout nearer.
    pin: PinState,
    capabilities: Capabilities,
    /// How far its logbook was read.
    bookmark: Bookmark,
    aside: Aside,
}

/// What an exchange brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Visited {
    /// One per step.
    pub findings: Vec<Finding>,
    /// How the lock is; `None` if it did not say.
    pub states: Option<States>,
    /// What it wrote down and was not read yet, as far as it said so; `None` if it said nothing, or if that could not be
    /// understood without a table, which no step asked for.
    pub logbook: Option<Logbook>,
}

/// What a look at a lock told that is about to be taken into service.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// How it is set up.
    pub config: Config,
    /// How it is.
    pub states: States,
}

impl NukiDriver {
    /// The lock that credentials are for, with the security PIN as far as anybody knows, and with rules
    /// of which [`capabilities`] are the default. Its logbook was not read yet.
    #[must_use]
    pub fn new(
        credentials: Credentials,
        pin: impl Into<Option<SecurityPin>>,
        capabilities: Capabilities,
    ) -> NukiDriver {
        NukiDriver {
            credentials,
            pin: pin.into().map_or(PinState::Refused, PinState::Usable),
            capabilities,
            bookmark: Bookmark::Unread,
            aside: Aside::default(),
        }
    }

    /// The same, whose logbook was read so far.
    #[must_use]
    pub fn reading_on(self, bookmark: Bookmark) -> NukiDriver {
        NukiDriver { bookmark, ..self }
    }

    /// How far its logbook was read.
    #[must_use]
    pub fn bookmark(&self) -> Bookmark {
        self.bookmark
    }

    /// Whether there is a security PIN that the lock has not refused.
    #[must_use]
    pub fn has_pin(&self) -> bool {
        !matches!(self.pin, PinState::Refused)
    }

    /// Whether the lock takes no security PIN, after too many wrong ones. It is told none until [`NukiDriver::let_in`].
    #[must_use]
    pub fn is_locked_out(&self) -> bool {
        matches!(self.pin, PinState::LockedOut(_))
    }

    /// The pause after too many wrong security PINs is over.
    pub fn let_in(&mut self) {
        self.pin.let_in();
    }

    /// What it takes, holds and tells.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Asks the lock each step in order over a link that has just come about, then how it is (bolt, clock, battery), and what it
    /// wrote down. All of it is one talk, for what the lock says late must not be taken for the beginning of something else. A step for which the lock takes longer than [`Capabilities::patience`] goes unanswered,
    /// and the steps after an unanswered one stay untried. The link has then served its time.
    ///
    /// `time` tells the wall time while it is trusted, else `None`: then the lock's clock is left as it is.
    pub async fn exchange<L: Link, R: CryptoRng>(
        &mut self,
        link: &mut L,
        rng: &mut R,
        time: &impl Fn() -> Option<Timestamp>,
        steps: &[Step],
    ) -> Visited {
        let mut reading = Reading::on(self.bookmark);
        let mut visit = self.visit(link, rng, time);
        let had_pin = visit.talk.has_pin();
        let findings = visit.carry_out_all(steps).await;
        // A refused security PIN is to be remembered before anything else.
        let is_over = findings.contains(&Finding::Unanswered) || had_pin && !visit.talk.has_pin();
        let states = match is_over {
            true => None,
            false => timeout(LOOK_WITHIN, visit.states()).await.ok().flatten(),
        };
        // Without a table nobody knows whose code it speaks of.
        let logbook = match &states {
            Some(states) if visit.digits.is_some() => {
                // What came until then is kept.
                _ = timeout(LOGBOOK_WITHIN, visit.read_on(&mut reading, states)).await;
                let is_over = reading.is_over();
                reading.told().map(|(read, entries)| {
                    let entries = entries.iter().filter_map(|entry| visit.typed(entry)).collect();
                    (Logbook { read, entries }, is_over)
                })
            }
            _ => None,
        };
        let logbook = logbook.map(|(logbook, is_over)| {
            self.bookmark = logbook.read;
            if is_over {
                self.aside = Aside::default();
            }
            logbook
        });
        Visited {
            findings,
            states,
            logbook,
        }
    }

    fn visit<'a, L: Link, R: CryptoRng, T: Fn() -> Option<Timestamp>>(
        &'a mut self,
        link: &'a mut L,
        rng: &'a mut R,
        time: &'a T,
    ) -> Visit<'a, L, R, T> {
        Visit {
            talk: Talk::new(link, rng, &self.credentials, &mut self.pin),
            rules: &self.capabilities,
            time,
            app_id: self.credentials.app_id,
            table: None,
            digits: None,
            aside: &mut self.aside,
            clock_is_right: false,
        }
    }

    /// Looks whether the security PIN is right, how the lock is set up, and how it is.
    ///
    /// # Errors
    /// The lock refuses, or did not answer as it must.
    pub async fn survey<L: Link, R: CryptoRng>(
        &mut self,
        link: &mut L,
        rng: &mut R,
    ) -> Result<Survey, Trouble> {
        let mut talk = Talk::new(link, rng, &self.credentials, &mut self.pin);
        talk.complete(&Request::VerifyPin).await?;
        let config = |answer| match answer {
            Answer::Config(config) => Some(*config),
            _ => None,
        };
        let states = |answer| match answer {
            Answer::States(states) => Some(states),
            _ => None,
        };
        Ok(Survey {
            config: talk.ask(&Request::Config, config).await?,
            states: talk.ask(&Request::States, states).await?,
        })
    }

    /// Has the lock delete us from its users: from then on it answers nothing more.
    ///
    /// # Errors
    /// The lock refuses, or did not answer as it must: then it may have deleted us all the same.
    pub async fn be_deleted<L: Link, R: CryptoRng>(
        &mut self,
        link: &mut L,
        rng: &mut R,
    ) -> Result<(), Trouble> {
        let authorization = self.credentials.authorization;
        let mut talk = Talk::new(link, rng, &self.credentials, &mut self.pin);
        talk.complete(&Request::RemoveUser { authorization }).await
    }
}
