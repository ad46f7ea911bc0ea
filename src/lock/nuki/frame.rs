//! Messages on the wire, plain and sealed, and how they are joined from indications.
//!
//! ```text
//! plain   command u16 | payload | crc u16
//! sealed  nonce 24 | authorization u32 | length u16 | seal 16 | box of (authorization u32 | plain message)
//! ```
//!
//! Numbers are little endian. The checksum covers everything before it; in a box the authorization id as well.

use crc::{CRC_16_IBM_3740, Crc};
use zeroize::Zeroizing;

use super::message::Command;
use super::seal::{self, Nonce, TAG};
use super::secret::SharedKey;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);
/// What stands before the seal of a box.
const HEAD: usize = 30;
/// What a box holds beside its payload: authorization id, command, checksum.
const FRAME: usize = 8;
/// The longest value of a characteristic.
const LONGEST: usize = 512;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// They end too early.
    #[error("the message is incomplete")]
    Incomplete,
    /// They say of themselves to be longer or shorter than any message, or than they are.
    #[error("the message has an impossible length")]
    Length,
    /// They were not sealed with our key, or were changed since.
    #[error("the message is not authentic")]
    Authentication,
    /// The box is for somebody else than what is written on it.
    #[error("the message is for another authorization")]
    Authorization,
    /// The checksum is wrong.
    #[error("the message has a wrong checksum")]
    Crc,
    /// No plain message begins like this.
    #[error("the message is of an unknown kind")]
    Unknown,
}

/// The checksum of bytes.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    CRC.checksum(bytes)
}

/// A plain message.
#[must_use]
pub fn plain(command: Command, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(payload.len() + 4);
    message.extend(command.0.to_le_bytes());
    message.extend(payload);
    message.extend(crc(&message).to_le_bytes());
    message
}

/// Reads a plain message.
///
/// # Errors
/// It is too short, or its checksum is wrong.
pub fn read_plain(message: &[u8]) -> Result<(Command, &[u8]), FrameError> {
    let (command, payload) = checked(message)?
        .split_first_chunk()
        .ok_or(FrameError::Incomplete)?;
    Ok((Command(u16::from_le_bytes(*command)), payload))
}

/// What stands before the checksum, if that is right.
fn checked(message: &[u8]) -> Result<&[u8], FrameError> {
    let (text, sum) = message.split_last_chunk().ok_or(FrameError::Incomplete)?;
    match crc(text) == u16::from_le_bytes(*sum) {
        true => Ok(text),
        false => Err(FrameError::Crc),
    }
}

/// What was in a box.
pub struct Opened {
    /// For whom it was.
    pub authorization: u32,
    /// What it is about.
    pub command: Command,
    /// The rest; wiped when dropped.
    pub payload: Zeroizing<Vec<u8>>,
}

/// Seals a message of at most 450 bytes.
#[must_use]
pub fn seal(key: &SharedKey, authorization: u32, nonce: &Nonce, command: Command, payload: &[u8]) -> Vec<u8> {
    // Grown to its size at once, so that no copy of a secret stays behind.
    let mut text = Zeroizing::new(Vec::with_capacity(payload.len() + FRAME));
    text.extend(authorization.to_le_bytes());
    text.extend(command.0.to_le_bytes());
    text.extend(payload);
    let sum = crc(&text);
    text.extend(sum.to_le_bytes());
    let tag = seal::lock(key, nonce, &mut text);
    let length = u16::try_from(text.len() + TAG).unwrap_or(u16::MAX);
    let mut frame = Vec::with_capacity(HEAD + TAG + text.len());
    frame.extend(nonce);
    frame.extend(authorization.to_le_bytes());
    frame.extend(length.to_le_bytes());
    frame.extend(tag);
    frame.extend(&*text);
    frame
}

/// Opens exactly one sealed message.
///
/// # Errors
/// It is not whole, not authentic, or contradicts itself.
pub fn open(key: &SharedKey, frame: &[u8]) -> Result<Opened, FrameError> {
    let (nonce, rest) = frame.split_first_chunk().ok_or(FrameError::Incomplete)?;
    let (outer, rest) = rest.split_first_chunk::<4>().ok_or(FrameError::Incomplete)?;
    let (length, rest) = rest.split_first_chunk().ok_or(FrameError::Incomplete)?;
    match usize::from(u16::from_le_bytes(*length)) {
        length if length > rest.len() => return Err(FrameError::Incomplete),
        length if length < rest.len() || length < TAG + FRAME => return Err(FrameError::Length),
        _ => {}
    }
    let (tag, text) = rest.split_first_chunk().ok_or(FrameError::Incomplete)?;
    let mut text = Zeroizing::new(text.to_vec());
    if !seal::unlock(key, nonce, tag, &mut text) {
        return Err(FrameError::Authentication);
    }
    let (inner, rest) = checked(&text)?
        .split_first_chunk::<4>()
        .ok_or(FrameError::Incomplete)?;
    let (command, payload) = rest.split_first_chunk().ok_or(FrameError::Incomplete)?;
    if inner != outer {
        return Err(FrameError::Authorization);
    }
    Ok(Opened {
        authorization: u32::from_le_bytes(*inner),
        command: Command(u16::from_le_bytes(*command)),
        payload: Zeroizing::new(payload.to_vec()),
    })
}

/// Joins messages from indications, as long as it knows what kind is expected.
#[derive(Default)]
pub struct Joiner {
    buffer: Vec<u8>,
}

impl Joiner {
    /// An indication came.
    pub fn push(&mut self, indication: &[u8]) {
        self.buffer.extend(indication);
    }

    /// The next whole message if sealed ones are expected, still sealed: it says how long it is. `None` until the
    /// rest of it comes.
    ///
    /// # Errors
    /// It says of itself to be longer or shorter than any message. All that came is forgotten.
    pub fn sealed(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(length) = self.buffer.get(HEAD - 2..HEAD) else {
            return Ok(None);
        };
        let length = length
            .iter()
            .rev()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        if !(TAG + FRAME..=LONGEST - HEAD).contains(&length) {
            self.buffer.clear();
            return Err(FrameError::Length);
        }
        Ok(self.take(HEAD + length))
    }

    /// The next whole message if plain ones are expected, with its checksum: its kind says how long it is. `None` until
    /// the rest of it comes.
    ///
    /// # Errors
    /// No message of a pairing begins like this. All that came is forgotten.
    pub fn plain(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some(command) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let payload = match Command(u16::from_le_bytes(*command)) {
            Command::PUBLIC_KEY | Command::CHALLENGE => 32,
            Command::AUTHORIZATION_ID => 84,
            Command::STATUS | Command::AUTHORIZATION_INFO => 1,
            Command::ERROR_REPORT => 3,
            _ => {
                self.buffer.clear();
                return Err(FrameError::Unknown);
            }
        };
        Ok(self.take(payload + 4))
    }

    /// A plain error report in the place of the sealed message that is expected. Its checksum tells: a sealed one
    /// begins with a random nonce.
    pub fn error_report(&mut self) -> Option<Vec<u8>> {
        let (command, _) = read_plain(self.buffer.get(..7)?).ok()?;
        (command == Command::ERROR_REPORT).then(|| self.take(7))?
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        (length <= self.buffer.len()).then(|| self.buffer.drain(..length).collect())
    }
}
