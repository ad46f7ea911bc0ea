//! From a held button to a shared key: the pairing as a state machine, and the talk that drives it.
//!
//! ```text
//! lock    public key     challenge       challenge            id, tag         status        generations 1 to 4
//! us    ask      public key   authenticator      data, tag         confirmation
//!
//! lock    public key     challenge       info          id                                   Ultra, the last two sealed
//! us    ask      public key   authenticator   data
//! ```
//!
//! It pairs as an app, never as a bridge: a lock knows one bridge only, and another one would throw that out.

use std::future::Future;
use std::time::Duration;

use rand::CryptoRng;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::bytes::{Reader, Short, field};
use super::error::ErrorCode;
use super::frame::{self, FrameError, Joiner};
use super::link::{Characteristic, Link, LinkLost, Model};
use super::message::{Answer, Challenge, Command, MessageError};
use super::seal::{self, PrivateKey, PublicKey, authenticator};
use super::secret::{Credentials, SecurityPin, SharedKey};

/// The kind of an authorization: an app.
const APP: u8 = 0;
/// In the place of an authorization id before there is one: what a client sends that Ultras in the field take.
const NO_AUTHORIZATION: u32 = u32::from_le_bytes([0x7f, 0xff, 0xff, 0xff]);

/// For a pairing, from its first word to its last.
const PAIR_WITHIN: Duration = Duration::from_secs(30);

/// How this gateway introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicant {
    /// A number of its own choice, which stays the same.
    pub app_id: u32,
    /// What the lock's owner sees among those who may open it; 32 bytes count.
    pub name: String,
}

/// Why a pairing came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// The lock is not in pairing mode.
    #[error(
        "the lock is not in pairing mode: hold its button for five seconds until the ring lights up, and try again \
         within half a minute"
    )]
    NotPairing,
    /// The lock refuses.
    #[error("the lock refuses the pairing: {0}")]
    Refused(ErrorCode),
    /// The other side does not hold the key that it should: it is not the lock that it says it is.
    #[error("the other side could not prove that it is the lock")]
    NotAuthentic,
    /// What came is no message.
    #[error("the lock could not be understood: {0}")]
    Frame(#[from] FrameError),
    /// What came has no place in a pairing, or not now.
    #[error("the lock said something that has no place in a pairing")]
    OutOfTurn,
    /// What it leaves behind could not be kept.
    #[error("the store did not keep the lock's key, so that the lock was not told that we have it")]
    NotKept,
    /// The link was lost, or the lock fell silent. It knows nothing of us.
    #[error(transparent)]
    Link(#[from] LinkLost),
    /// It was told the security PIN, and what it said to that was lost. It may know us, and may count a wrong PIN.
    #[error("what the lock said to the security PIN was lost: nobody knows whether it is paired")]
    AnswerLost,
}

impl From<Short> for PairingError {
    fn from(_: Short) -> PairingError {
        PairingError::OutOfTurn
    }
}

impl From<MessageError> for PairingError {
    fn from(_: MessageError) -> PairingError {
        PairingError::OutOfTurn
    }
}

/// A pairing under way.
pub struct Pairing {
    applicant: Applicant,
    pin: SecurityPin,
    joiner: Joiner,
    awaits: Awaits,
}

/// What the lock is to say next, and what is needed to judge and to answer it.
enum Awaits {
    PublicKey(PrivateKey),
    Challenge {
        own: PublicKey,
        lock: PublicKey,
        key: SharedKey,
    },
    SecondChallenge(SharedKey),
    AuthorizationId {
        key: SharedKey,
        nonce: [u8; 32],
    },
    Status(Credentials),
    AuthorizationInfo(SharedKey),
    SealedAuthorizationId(SharedKey),
}

/// What is to be done in a pairing.
pub enum Turn {
    /// Wait for the next indication.
    Listen(Pairing),
    /// Write this, then wait for the next indication.
    Say(Pairing, Vec<u8>),
    /// Nothing more.
    Done(Credentials),
}

impl Pairing {
    /// Begins a pairing with the model that a security PIN belongs to: the message to write first.
    #[must_use]
    pub fn begin(applicant: Applicant, pin: SecurityPin, rng: &mut impl CryptoRng) -> (Pairing, Vec<u8>) {
        let pairing = Pairing {
            applicant,
            pin,
            joiner: Joiner::default(),
            awaits: Awaits::PublicKey(PrivateKey::draw(rng)),
        };
        let ask = frame::plain(Command::REQUEST_DATA, &Command::PUBLIC_KEY.0.to_le_bytes());
        (pairing, ask)
    }

    /// What the pairing leaves behind, once the lock has said it: before it is told that we have it, where it
    /// is told at all.
    #[must_use]
    pub fn granted(&self) -> Option<&Credentials> {
        match &self.awaits {
            Awaits::Status(credentials) => Some(credentials),
            _ => None,
        }
    }

    /// Whether what is said next tells the lock the security PIN: from there on it may know us, whatever is heard.
    #[must_use]
    pub fn tells_pin(&self) -> bool {
        matches!(self.awaits, Awaits::SealedAuthorizationId(_))
    }

    /// Takes in an indication.
    ///
    /// # Errors
    /// The lock refuses, or what came must not be believed. The pairing is then over.
    pub fn hear(mut self, indication: &[u8], rng: &mut impl CryptoRng) -> Result<Turn, PairingError> {
        self.joiner.push(indication);
        if let Awaits::SealedAuthorizationId(key) = &self.awaits {
            if let Some(report) = self.joiner.error_report() {
                return Err(refusal(&report));
            }
            return match self.joiner.sealed()? {
                None => Ok(Turn::Listen(self)),
                Some(message) => self.read_sealed_id(key, &message).map(Turn::Done),
            };
        }
        match self.joiner.plain()? {
            None => Ok(Turn::Listen(self)),
            Some(message) => self.answer(&message, rng),
        }
    }

    fn answer(mut self, message: &[u8], rng: &mut impl CryptoRng) -> Result<Turn, PairingError> {
        let (command, payload) = frame::read_plain(message)?;
        if command == Command::ERROR_REPORT {
            return Err(refusal(message));
        }
        let mut read = Reader(payload);
        let (awaits, say) = match (self.awaits, command) {
            (Awaits::PublicKey(private), Command::PUBLIC_KEY) => {
                let (own, lock) = (private.public(), read.array()?);
                let key = private.agree(lock).ok_or(PairingError::NotAuthentic)?;
                let say = frame::plain(Command::PUBLIC_KEY, &own);
                (Awaits::Challenge { own, lock, key }, say)
            }
            (Awaits::Challenge { own, lock, key }, Command::CHALLENGE) => {
                let challenge: Challenge = read.array()?;
                let tag = authenticator(&key, &[&own, &lock, &challenge]);
                let say = frame::plain(Command::AUTHORIZATION_AUTHENTICATOR, &tag);
                let awaits = match self.pin.model() {
                    Model::Classic => Awaits::SecondChallenge(key),
                    Model::Ultra => Awaits::AuthorizationInfo(key),
                };
                (awaits, say)
            }
            (Awaits::SecondChallenge(key), Command::CHALLENGE) => {
                let challenge: Challenge = read.array()?;
                let mut nonce = [0; 32];
                rng.fill_bytes(&mut nonce);
                let mut data = vec![APP];
                data.extend(self.applicant.app_id.to_le_bytes());
                data.extend(field::<32>(&self.applicant.name));
                data.extend(nonce);
                let tag = authenticator(&key, &[&data, &challenge]);
                let say = frame::plain(Command::AUTHORIZATION_DATA, &[&tag[..], &data].concat());
                (Awaits::AuthorizationId { key, nonce }, say)
            }
            (Awaits::AuthorizationId { key, nonce }, Command::AUTHORIZATION_ID) => {
                let tag = read.array()?;
                if !seal::authentic(&key, &[read.0, &nonce], &tag) {
                    return Err(PairingError::NotAuthentic);
                }
                let authorization = read.u32()?;
                let _its_own_id = read.array::<16>()?;
                let challenge: Challenge = read.array()?;
                let id = authorization.to_le_bytes();
                let tag = authenticator(&key, &[&id, &challenge]);
                let say = frame::plain(Command::AUTHORIZATION_ID_CONFIRMATION, &[&tag[..], &id].concat());
                let credentials = Credentials {
                    model: Model::Classic,
                    authorization,
                    key,
                    app_id: self.applicant.app_id,
                };
                (Awaits::Status(credentials), say)
            }
            (Awaits::Status(credentials), Command::STATUS) => {
                return match Answer::decode(command, payload)? {
                    Answer::Complete => Ok(Turn::Done(credentials)),
                    _ => Err(PairingError::OutOfTurn),
                };
            }
            (Awaits::AuthorizationInfo(key), Command::AUTHORIZATION_INFO) => {
                let mut nonce = [0; 24];
                rng.fill_bytes(&mut nonce);
                let mut data = Zeroizing::new(Vec::with_capacity(40));
                data.extend(self.applicant.app_id.to_le_bytes());
                data.extend(field::<32>(&self.applicant.name));
                data.extend(&*self.pin.expose());
                let say = frame::seal(&key, NO_AUTHORIZATION, &nonce, Command::AUTHORIZATION_DATA, &data);
                (Awaits::SealedAuthorizationId(key), say)
            }
            _ => return Err(PairingError::OutOfTurn),
        };
        self.awaits = awaits;
        Ok(Turn::Say(self, say))
    }

    /// Whose box it is need not be checked: who holds this key is the lock.
    fn read_sealed_id(&self, key: &SharedKey, message: &[u8]) -> Result<Credentials, PairingError> {
        let opened = frame::open(key, message)?;
        let mut read = Reader(&opened.payload);
        match opened.command {
            Command::AUTHORIZATION_ID => {
                let authorization = read.u32()?;
                let _its_own_id = read.array::<16>()?;
                let credentials = Credentials {
                    model: Model::Ultra,
                    authorization,
                    key: key.clone(),
                    app_id: self.applicant.app_id,
                };
                Ok(credentials)
            }
            Command::ERROR_REPORT => Err(PairingError::Refused(ErrorCode(read.u8()?))),
            _ => Err(PairingError::OutOfTurn),
        }
    }
}

/// What a plain error report says.
fn refusal(report: &[u8]) -> PairingError {
    match frame::read_plain(report) {
        Ok((_, [code, ..])) if ErrorCode(*code) == ErrorCode::NOT_PAIRING => PairingError::NotPairing,
        Ok((_, [code, ..])) => PairingError::Refused(ErrorCode(*code)),
        Ok(_) => PairingError::OutOfTurn,
        Err(error) => PairingError::Frame(error),
    }
}

/// Keeps what a pairing leaves behind, and says whether it did.
pub type Keep<'a> = &'a (dyn Fn(&Credentials) -> Kept<'a> + Send + Sync);

/// Whether something was kept, sooner or later.
pub type Kept<'a> = std::pin::Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Pairs with the lock at the other end of a link, within half a minute. What the pairing leaves behind is kept before the
/// lock is told that we have it, so that no lock counts on a key that is lost. (An Ultra is told nothing more once it has said
/// it.)
///
/// # Errors
/// The lock refuses, what came must not be believed, or the link was lost. Only after [`PairingError::NotPairing`] and
/// [`PairingError::Link`] may it be tried again without asking anybody: no security PIN was told, and the lock knows nothing of
/// us unless `keep` was called.
pub async fn pair<L: Link, R: CryptoRng>(
    link: &mut L,
    rng: &mut R,
    applicant: Applicant,
    pin: SecurityPin,
    keep: Keep<'_>,
) -> Result<Credentials, PairingError> {
    let mut pin_told = false;
    let talk = shake_hands(link, rng, applicant, pin, keep, &mut pin_told);
    match timeout(PAIR_WITHIN, talk).await {
        Ok(Err(error)) if pin_told && !error.is_a_word_of_the_lock() => Err(PairingError::AnswerLost),
        Err(_) if pin_told => Err(PairingError::AnswerLost),
        Err(_) => Err(PairingError::Link(LinkLost)),
        Ok(shaken) => shaken,
    }
}

impl PairingError {
    /// Whether it says what became of the security PIN.
    fn is_a_word_of_the_lock(self) -> bool {
        matches!(self, PairingError::Refused(_) | PairingError::NotKept)
    }
}

async fn shake_hands<L: Link, R: CryptoRng>(
    link: &mut L,
    rng: &mut R,
    applicant: Applicant,
    pin: SecurityPin,
    keep: Keep<'_>,
    pin_told: &mut bool,
) -> Result<Credentials, PairingError> {
    let kept = async |credentials: &Credentials| match keep(credentials).await {
        true => Ok(()),
        false => Err(PairingError::NotKept),
    };
    let to = Characteristic::Pairing(pin.model());
    let (mut pairing, ask) = Pairing::begin(applicant, pin, rng);
    link.write(to, &ask).await?;
    loop {
        pairing = match pairing.hear(&link.next().await?, rng)? {
            Turn::Listen(pairing) => pairing,
            Turn::Say(pairing, message) => {
                if let Some(credentials) = pairing.granted() {
                    kept(credentials).await?;
                }
                // A write that failed may have arrived.
                *pin_told = pairing.tells_pin();
                link.write(to, &message).await?;
                pairing
            }
            Turn::Done(credentials) => {
                if credentials.model == Model::Ultra {
                    kept(&credentials).await?;
                }
                return Ok(credentials);
            }
        };
    }
}
