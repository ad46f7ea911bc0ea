//! One link to one lock: a challenge for each command, the command, and the answers that belong to it.

use std::collections::BTreeSet;

use rand::CryptoRng;

use super::error::ErrorCode;
use super::frame::{self, FrameError, Joiner};
use super::link::{Characteristic, Link, LinkLost};
use super::message::{Answer, Challenge, Command, LogbookEntry, LogbookRange, MessageError, Request};
use super::secret::{Credentials, PinState};
use crate::model::{Entry, Finding};

/// Most messages of one link. A whole table of 200 codes, read twenty times, fits in.
const MOST_MESSAGES: usize = 5_000;
/// Codes that are asked for at once, so that no answer is long.
const PAGE: u16 = 32;

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The lock said no.
    #[error("the lock refuses: {0}")]
    Refused(ErrorCode),
    /// It would need a security PIN, and the only one that was known is wrong, or must not be used for a while.
    #[error("the lock refused the security PIN, and is not told it again")]
    NoPin,
    /// The link was lost.
    #[error(transparent)]
    Link(#[from] LinkLost),
    /// What came is no message of this lock to us.
    #[error("the lock could not be understood: {0}")]
    Frame(#[from] FrameError),
    /// What came contradicts itself.
    #[error("the lock contradicts itself")]
    Incoherent,
    /// It does not stop talking.
    #[error("the lock floods the link")]
    Flood,
}

impl Trouble {
    /// What a step has found that ended with it.
    pub(super) fn finding(self) -> Finding {
        match self {
            Trouble::Refused(code) => code.finding(),
            Trouble::NoPin => ErrorCode::BAD_PIN.finding(),
            Trouble::Link(_) | Trouble::Frame(_) | Trouble::Incoherent | Trouble::Flood => {
                Finding::Unanswered
            }
        }
    }
}

impl From<MessageError> for Trouble {
    fn from(_: MessageError) -> Trouble {
        Trouble::Incoherent
    }
}

/// A talk over one link.
pub(super) struct Talk<'a, L, R> {
    link: &'a mut L,
    rng: &'a mut R,
    credentials: &'a Credentials,
    pin: &'a mut PinState,
    joiner: Joiner,
    /// Nonces of the lock's messages. What comes a second time is no news, whoever sends it.
    heard: BTreeSet<[u8; 24]>,
}

impl<'a, L: Link, R: CryptoRng> Talk<'a, L, R> {
    pub fn new(
        link: &'a mut L,
        rng: &'a mut R,
        credentials: &'a Credentials,
        pin: &'a mut PinState,
    ) -> Talk<'a, L, R> {
        Talk {
            link,
            rng,
            credentials,
            pin,
            joiner: Joiner::default(),
            heard: BTreeSet::new(),
        }
    }

    /// Asks, and waits for the answer that `pick` takes. What else the lock says meanwhile is skipped: it tells
    /// its state unasked, and may say late that an earlier request is complete.
    pub async fn ask<T>(
        &mut self,
        request: &Request<'_>,
        mut pick: impl FnMut(Answer) -> Option<T> + Send,
    ) -> Result<T, Trouble> {
        self.send(request).await?;
        loop {
            match self.hear(request.command()).await? {
                Answer::Error { code, .. } => return Err(self.refused(code)),
                answer => {
                    if let Some(picked) = pick(answer) {
                        return Ok(picked);
                    }
                }
            }
        }
    }

    /// Asks for something that is complete once the lock says so.
    pub async fn complete(&mut self, request: &Request<'_>) -> Result<(), Trouble> {
        self.ask(request, |answer| (answer == Answer::Complete).then_some(()))
            .await
    }

    /// All codes of the lock.
    pub async fn table(&mut self) -> Result<Vec<Entry>, Trouble> {
        let mut table: Vec<Entry> = Vec::new();
        loop {
            let offset = u16::try_from(table.len()).map_err(|_| Trouble::Incoherent)?;
            let (page, total) = self.page(offset).await?;
            let all = table.len() + page.len() >= usize::from(total);
            if page.is_empty() && !all {
                return Err(Trouble::Incoherent);
            }
            for entry in page {
                if table.iter().any(|known| known.slot == entry.slot) {
                    return Err(Trouble::Incoherent);
                }
                table.push(entry);
            }
            if all {
                table.sort_by_key(|entry| entry.slot);
                return Ok(table);
            }
        }
    }

    /// Codes after the first `offset`, and how many there are in all. The lock counts them first; the end may be
    /// said or not.
    async fn page(&mut self, offset: u16) -> Result<(Vec<Entry>, u16), Trouble> {
        let request = Request::ListCodes { offset, count: PAGE };
        let mut page = Vec::new();
        let mut total = None;
        self.ask(&request, |answer| {
            match answer {
                Answer::CodeCount(count) => total = Some(count),
                Answer::Code(row) => page.push(row.entry()),
                Answer::Complete => return Some(()),
                _ => {}
            }
            let due = total?.saturating_sub(offset).min(PAGE);
            (page.len() >= usize::from(due)).then_some(())
        })
        .await?;
        Ok((page, total.ok_or(Trouble::Incoherent)?))
    }

    /// Some entries of the lock's logbook, fewer than were asked for if there are no more.
    pub async fn logbook(&mut self, range: LogbookRange) -> Result<Vec<LogbookEntry>, Trouble> {
        let mut entries = Vec::new();
        self.ask(&Request::Logbook(range), |answer| {
            match answer {
                Answer::LogbookEntry(entry) => entries.push(entry),
                Answer::Complete => return Some(()),
                _ => {}
            }
            (entries.len() >= usize::from(range.count)).then_some(())
        })
        .await?;
        Ok(entries)
    }

    async fn send(&mut self, request: &Request<'_>) -> Result<(), Trouble> {
        if request.needs_pin() && self.pin.usable().is_none() {
            return Err(Trouble::NoPin);
        }
        let challenge = match request.needs_challenge() {
            true => self.challenge().await?,
            false => [0; 32],
        };
        self.write(request, &challenge).await
    }

    async fn challenge(&mut self) -> Result<Challenge, Trouble> {
        let request = Request::Challenge;
        self.write(&request, &[0; 32]).await?;
        loop {
            match self.hear(request.command()).await? {
                Answer::Challenge(challenge) => return Ok(challenge),
                Answer::Error { code, .. } => return Err(self.refused(code)),
                _ => {}
            }
        }
    }

    async fn write(&mut self, request: &Request<'_>, challenge: &Challenge) -> Result<(), Trouble> {
        let mut nonce = [0; 24];
        self.rng.fill_bytes(&mut nonce);
        let frame = frame::seal(
            &self.credentials.key,
            self.credentials.authorization,
            &nonce,
            request.command(),
            &request.payload(challenge, self.pin.usable()),
        );
        Ok(self.link.write(Characteristic::Everyday, &frame).await?)
    }

    /// The next answer that is authentic, new, known, and no error of another command than this.
    async fn hear(&mut self, asked: Command) -> Result<Answer, Trouble> {
        loop {
            let frame = match self.joiner.sealed()? {
                Some(frame) => frame,
                None => {
                    let indication = self.link.next().await?;
                    self.joiner.push(&indication);
                    continue;
                }
            };
            let opened = frame::open(&self.credentials.key, &frame)?;
            if opened.authorization != self.credentials.authorization {
                return Err(Trouble::Frame(FrameError::Authorization));
            }
            if self.heard.len() >= MOST_MESSAGES {
                return Err(Trouble::Flood);
            }
            let nonce = *frame.first_chunk().ok_or(FrameError::Incomplete)?;
            if !self.heard.insert(nonce) {
                continue;
            }
            match Answer::decode(opened.command, &opened.payload) {
                Ok(Answer::Error { command, .. }) if command != asked => {}
                Err(MessageError::Unknown) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Whether the security PIN may be used, as far as anybody knows.
    pub fn has_pin(&self) -> bool {
        self.pin.usable().is_some()
    }

    fn refused(&mut self, code: ErrorCode) -> Trouble {
        match code {
            ErrorCode::BAD_PIN => *self.pin = PinState::Refused,
            ErrorCode::TOO_MANY_PINS => self.pin.lock_out(),
            _ => {}
        }
        Trouble::Refused(code)
    }
}
