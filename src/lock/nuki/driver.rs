//! One lock of this family: who we are to it, its security PIN, its rules.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::CryptoRng;
use tokio::time::timeout;

use super::link::Link;
use super::message::{Answer, Config, LogEntry, Request, States};
use super::secret::{Credentials, SecurityPin};
use super::talk::{Talk, Trouble};
use super::visit::Visit;
use crate::model::{Addressing, Alphabet, Capabilities, Finding, NativeWindow, ReadBack, Step, Timestamp};

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

/// One lock, whatever link leads to it. It keeps no memory of codes.
pub struct NukiDriver {
    credentials: Credentials,
    /// `None` once the lock refused it: each wrong try brings a lockout nearer.
    pin: Option<SecurityPin>,
    capabilities: Capabilities,
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
    /// of which [`capabilities`] are the default.
    #[must_use]
    pub fn new(credentials: Credentials, pin: SecurityPin, capabilities: Capabilities) -> NukiDriver {
        NukiDriver {
            credentials,
            pin: Some(pin),
            capabilities,
        }
    }

    /// What it takes, holds and tells.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Somebody looked at the security PIN again: from here on this one is used.
    pub fn renew_pin(&mut self, pin: SecurityPin) {
        self.pin = Some(pin);
    }

    /// Asks the lock each step in order over a link that has just come about; one finding per step. A step
    /// for which the lock takes longer than [`Capabilities::patience`] goes unanswered, and the steps after an
    /// unanswered one stay untried. The link has then served its time.
    ///
    /// `time` tells the wall time while it is trusted, else `None`: then the lock's clock is left as it is.
    pub async fn exchange<L: Link, R: CryptoRng>(
        &mut self,
        link: &mut L,
        rng: &mut R,
        time: &impl Fn() -> Option<Timestamp>,
        steps: &[Step],
    ) -> Vec<Finding> {
        let mut visit = Visit {
            talk: Talk::new(link, rng, &self.credentials, &mut self.pin),
            rules: &self.capabilities,
            time,
            app_id: self.credentials.app_id,
            table: None,
            clock_is_right: false,
        };
        let mut findings = vec![Finding::Untried; steps.len()];
        for (step, finding) in steps.iter().zip(&mut findings) {
            let told = timeout(self.capabilities.patience, visit.carry_out(step)).await;
            *finding = told.unwrap_or(Finding::Unanswered);
            if *finding == Finding::Unanswered {
                break;
            }
        }
        findings
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

    /// The newest entries of the lock's log, the newest first: who opened, among them.
    ///
    /// # Errors
    /// The lock refuses, or did not answer as it must.
    pub async fn log<L: Link, R: CryptoRng>(
        &mut self,
        link: &mut L,
        rng: &mut R,
        count: u16,
    ) -> Result<Vec<LogEntry>, Trouble> {
        Talk::new(link, rng, &self.credentials, &mut self.pin)
            .log(count)
            .await
    }
}
