//! What is asked of a lock, and what it answers, as types.

use std::fmt;

use zeroize::Zeroizing;

use crate::model::{Entry, Pin, Slot, Timestamp, Window};

use super::bytes::{Date, Reader, Short, field};
use super::error::ErrorCode;
use super::secret::SecurityPin;

/// What a message is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command(pub u16);

#[expect(missing_docs, reason = "the vendor's own names")]
impl Command {
    pub const REQUEST_DATA: Command = Command(0x0001);
    pub const PUBLIC_KEY: Command = Command(0x0003);
    pub const CHALLENGE: Command = Command(0x0004);
    pub const AUTHORIZATION_AUTHENTICATOR: Command = Command(0x0005);
    pub const AUTHORIZATION_DATA: Command = Command(0x0006);
    pub const AUTHORIZATION_ID: Command = Command(0x0007);
    pub const REMOVE_AUTHORIZATION_ENTRY: Command = Command(0x0008);
    pub const KEYTURNER_STATES: Command = Command(0x000c);
    pub const LOCK_ACTION: Command = Command(0x000d);
    pub const STATUS: Command = Command(0x000e);
    pub const ERROR_REPORT: Command = Command(0x0012);
    pub const REQUEST_CONFIG: Command = Command(0x0014);
    pub const CONFIG: Command = Command(0x0015);
    pub const AUTHORIZATION_ID_CONFIRMATION: Command = Command(0x001e);
    pub const VERIFY_SECURITY_PIN: Command = Command(0x0020);
    pub const UPDATE_TIME: Command = Command(0x0021);
    pub const REQUEST_LOG_ENTRIES: Command = Command(0x0031);
    pub const LOG_ENTRY: Command = Command(0x0032);
    pub const ADD_KEYPAD_CODE: Command = Command(0x0041);
    pub const KEYPAD_CODE_ID: Command = Command(0x0042);
    pub const REQUEST_KEYPAD_CODES: Command = Command(0x0043);
    pub const KEYPAD_CODE_COUNT: Command = Command(0x0044);
    pub const KEYPAD_CODE: Command = Command(0x0045);
    pub const UPDATE_KEYPAD_CODE: Command = Command(0x0046);
    pub const REMOVE_KEYPAD_CODE: Command = Command(0x0047);
    pub const AUTHORIZATION_INFO: Command = Command(0x004c);
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command(0x{:04X})", self.0)
    }
}

/// A nonce of the lock's, good for one command.
pub type Challenge = [u8; 32];

/// What the lock is asked.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// A nonce for the next command. It needs none itself.
    Challenge,
    /// How the lock is: bolt, clock, battery. It needs no nonce.
    States,
    /// How the lock is set up.
    Config,
    /// Whether the security PIN is right.
    VerifyPin,
    /// Set the lock's clock.
    SetTime(Date),
    /// Tell what happened, without the number of all entries.
    Logbook(LogbookRange),
    /// Hold one more code, which is enabled.
    AddCode(&'a KeypadCode),
    /// Tell so many codes, after skipping some.
    ListCodes {
        /// How many to skip.
        offset: u16,
        /// How many to tell at most.
        count: u16,
    },
    /// Hold this in the place of what stands under an id.
    UpdateCode {
        /// The id that the lock gave.
        id: u16,
        /// All of what shall stand there.
        code: &'a KeypadCode,
    },
    /// Hold a code no more.
    RemoveCode {
        /// The id that the lock gave.
        id: u16,
    },
    /// Know a user no more.
    RemoveUser {
        /// Under which number the lock knows it.
        authorization: u32,
    },
    /// Move the bolt.
    Bolt {
        /// How.
        action: Action,
        /// The number of this gateway.
        app_id: u32,
        /// What the lock's log shows behind our name, 20 bytes at most.
        suffix: Option<&'a str>,
    },
}

/// How a bolt is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open it.
    Unlock = 1,
    /// Close it.
    Lock = 2,
}

/// Which entries of the logbook are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogbookRange {
    /// The number to begin with; 0 for the newest or the oldest.
    pub from: u32,
    /// How many at most.
    pub count: u16,
    /// The newest first.
    pub newest_first: bool,
}

/// A code as it stands on the lock, or shall stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeypadCode {
    /// Its digits.
    pub pin: Pin,
    /// Its name, 20 bytes at most; empty for none.
    pub name: String,
    /// Whether it opens at all.
    pub enabled: bool,
    /// When it opens, if not always.
    pub limit: Option<Limit>,
}

/// When a code opens. The dates are in UTC, the rest in the lock's own local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// First second.
    pub from: Date,
    /// First second after.
    pub until: Date,
    /// Bit 6 is Monday, bit 0 Sunday; no bit is every day.
    pub weekdays: u8,
    /// Hour and minute of each day from which it opens,
    pub daily_from: [u8; 2],
    /// and until which; both 00:00 for all day.
    pub daily_until: [u8; 2],
}

impl Request<'_> {
    /// The command that it is sent as. An error report names it.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Request::Challenge | Request::States => Command::REQUEST_DATA,
            Request::Config => Command::REQUEST_CONFIG,
            Request::VerifyPin => Command::VERIFY_SECURITY_PIN,
            Request::SetTime(_) => Command::UPDATE_TIME,
            Request::Logbook(_) => Command::REQUEST_LOG_ENTRIES,
            Request::AddCode(_) => Command::ADD_KEYPAD_CODE,
            Request::ListCodes { .. } => Command::REQUEST_KEYPAD_CODES,
            Request::UpdateCode { .. } => Command::UPDATE_KEYPAD_CODE,
            Request::RemoveCode { .. } => Command::REMOVE_KEYPAD_CODE,
            Request::RemoveUser { .. } => Command::REMOVE_AUTHORIZATION_ENTRY,
            Request::Bolt { .. } => Command::LOCK_ACTION,
        }
    }

    /// Whether it is sent with a challenge.
    #[must_use]
    pub fn needs_challenge(&self) -> bool {
        self.command() != Command::REQUEST_DATA
    }

    /// Whether it is sent with the security PIN.
    #[must_use]
    pub fn needs_pin(&self) -> bool {
        !matches!(
            self,
            Request::Challenge | Request::States | Request::Config | Request::Bolt { .. }
        )
    }

    /// The bytes behind the command: what is asked, the challenge, the security PIN, as far as each is needed.
    /// Wiped when dropped.
    #[must_use]
    pub fn payload(&self, challenge: &Challenge, pin: Option<&SecurityPin>) -> Zeroizing<Vec<u8>> {
        // Room for the longest, so that no copy of a secret stays behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(128));
        match self {
            Request::Challenge => bytes.extend(Command::CHALLENGE.0.to_le_bytes()),
            Request::States => bytes.extend(Command::KEYTURNER_STATES.0.to_le_bytes()),
            Request::Config | Request::VerifyPin => {}
            Request::SetTime(date) => bytes.extend(date.bytes()),
            Request::Logbook(range) => {
                bytes.extend(range.from.to_le_bytes());
                bytes.extend(range.count.to_le_bytes());
                bytes.extend([u8::from(range.newest_first), 0]);
            }
            Request::AddCode(code) => {
                code.write_digits_and_name(&mut bytes);
                code.write_limit(&mut bytes);
            }
            Request::ListCodes { offset, count } => {
                bytes.extend(offset.to_le_bytes());
                bytes.extend(count.to_le_bytes());
            }
            Request::UpdateCode { id, code } => {
                bytes.extend(id.to_le_bytes());
                code.write_digits_and_name(&mut bytes);
                bytes.push(u8::from(code.enabled));
                code.write_limit(&mut bytes);
            }
            Request::RemoveCode { id } => bytes.extend(id.to_le_bytes()),
            Request::RemoveUser { authorization } => bytes.extend(authorization.to_le_bytes()),
            Request::Bolt {
                action,
                app_id,
                suffix,
            } => {
                bytes.push(*action as u8);
                bytes.extend(app_id.to_le_bytes());
                bytes.push(0);
                if let Some(suffix) = suffix {
                    bytes.extend(field::<20>(suffix));
                }
            }
        }
        if self.needs_challenge() {
            bytes.extend(challenge);
        }
        if let Some(pin) = pin.filter(|_| self.needs_pin()) {
            bytes.extend(&*pin.expose());
        }
        bytes
    }
}

impl KeypadCode {
    fn write_digits_and_name(&self, bytes: &mut Vec<u8>) {
        // Leading zeros get lost: no keypad of this family has that digit, and no such PIN comes here.
        let number: Zeroizing<u32> = Zeroizing::new(self.pin.expose().parse().unwrap_or(0));
        bytes.extend(number.to_le_bytes());
        bytes.extend(field::<20>(&self.name));
    }

    fn write_limit(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self.limit.is_some()));
        // The fields are there, whether or not they count.
        let limit = self.limit.unwrap_or(Limit::between(Date::NONE, Date::NONE));
        bytes.extend(limit.from.bytes());
        bytes.extend(limit.until.bytes());
        bytes.push(limit.weekdays);
        bytes.extend(limit.daily_from);
        bytes.extend(limit.daily_until);
    }

    /// The window in which it opens; `None` if it is disabled, keeps to hours or weekdays, or has dates between
    /// which there is no time.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        match self.limit {
            _ if !self.enabled => None,
            None => Some(Window::Ongoing),
            Some(limit) if limit.is_plain() => Window::between(limit.from.instant()?, limit.until.instant()?),
            Some(_) => None,
        }
    }
}

impl Limit {
    /// All days and hours between two dates.
    #[must_use]
    pub fn between(from: Date, until: Date) -> Limit {
        Limit {
            from,
            until,
            weekdays: 0,
            daily_from: [0, 0],
            daily_until: [0, 0],
        }
    }

    /// Whether every hour of every day counts between the dates.
    fn is_plain(self) -> bool {
        const EVERY_DAY: u8 = 0b0111_1111;
        let days = self.weekdays & EVERY_DAY;
        (days == 0 || days == EVERY_DAY) && self.daily_from == [0, 0] && self.daily_until == [0, 0]
    }
}

/// What the lock says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A nonce for the next command.
    Challenge(Challenge),
    /// How it is.
    States(States),
    /// How it is set up.
    Config(Box<Config>),
    /// It did what was asked.
    Complete,
    /// It will do what was asked.
    Accepted,
    /// It will not.
    Error {
        /// Why.
        code: ErrorCode,
        /// The command that was refused.
        command: Command,
    },
    /// The id of the code that was added.
    CodeId(u16),
    /// How many codes it holds.
    CodeCount(u16),
    /// One of its codes.
    Code(CodeRow),
    /// Something that happened.
    LogbookEntry(LogbookEntry),
}

/// One code of the lock's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// The id that the lock gave.
    pub id: u16,
    /// What stands there.
    pub code: KeypadCode,
}

impl CodeRow {
    /// The row as the gateway knows rows. A code that does not open all through a window shows one in the distant
    /// past, which none of ours has: it is a stranger's, or was changed.
    #[must_use]
    pub fn entry(&self) -> Entry {
        const NEVER: Window = Window::Bound {
            starts_at: Timestamp(0),
            ends_at: Timestamp(1),
        };
        Entry {
            slot: Slot(self.id),
            pin: Some(self.code.pin.clone()),
            name: Some(self.code.name.clone()).filter(|name| !name.is_empty()),
            window: self.code.window().unwrap_or(NEVER),
        }
    }
}

/// How the lock is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct States {
    /// Where its bolt is: 1 locked, 3 unlocked; the vendor's list has the rest.
    pub bolt: u8,
    /// What its clock shows, in UTC.
    pub time: Date,
    /// Its battery is nearly empty.
    pub battery_critical: bool,
    /// Charge of its battery in percent.
    pub battery_percent: u8,
    /// The battery of its keypad is nearly empty; `None` if it does not say.
    pub keypad_battery_critical: Option<bool>,
}

/// How the lock is set up, as far as a gateway needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name in the app.
    pub name: String,
    /// Whether a keypad of either generation belongs to it.
    pub has_keypad: bool,
}

/// Something that happened at the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogbookEntry {
    /// Its number.
    pub number: u32,
    /// When, by the lock's clock.
    pub at: Date,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Somebody stood at the keypad.
    Keypad {
        /// What was wanted of the bolt.
        action: u8,
        /// 0 done, 0xE0 a code that opens nothing; the vendor's list has the rest.
        completion: u8,
        /// Which code; 0 for none.
        code: u16,
    },
    /// Something else, by the vendor's number for its kind.
    Other(u8),
}

impl Happened {
    /// The id of the code that moved the bolt, and whether the bolt is out since; `None` if no code did, or if nobody knows how.
    #[must_use]
    pub fn moved_by(self) -> Option<(u16, bool)> {
        let Happened::Keypad {
            action,
            completion: 0,
            code: code @ 1..,
            ..
        } = self
        else {
            return None;
        };
        // Unlocked, unlatched, for a while with either; locked, locked fully.
        let locked = match action {
            1 | 3 | 4 | 5 => false,
            2 | 6 => true,
            _ => {
                tracing::info!(
                    action,
                    "a code was used at a keypad for something that is not known, and it is told to nobody"
                );
                return None;
            }
        };
        Some((code, locked))
    }
}

/// Why a message makes no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nobody published what this command means, or it is none of a lock's.
    #[error("the lock said something unknown")]
    Unknown,
    /// Its payload has another length or another form than it must.
    #[error("the lock said something that makes no sense")]
    Malformed,
}

impl From<Short> for MessageError {
    fn from(_: Short) -> MessageError {
        MessageError::Malformed
    }
}

impl Answer {
    /// Reads an answer. Newer firmware says more at the end of what grew over the years; that is skipped.
    ///
    /// # Errors
    /// It is unknown, too short, or impossible.
    pub fn decode(command: Command, payload: &[u8]) -> Result<Answer, MessageError> {
        let mut read = Reader(payload);
        let grows = matches!(
            command,
            Command::KEYTURNER_STATES | Command::CONFIG | Command::KEYPAD_CODE | Command::LOG_ENTRY
        );
        let answer = match command {
            Command::CHALLENGE => Answer::Challenge(read.array()?),
            Command::STATUS => match read.u8()? {
                0 => Answer::Complete,
                1 => Answer::Accepted,
                _ => return Err(MessageError::Malformed),
            },
            Command::ERROR_REPORT => Answer::Error {
                code: ErrorCode(read.u8()?),
                command: Command(read.u16()?),
            },
            Command::KEYPAD_CODE_ID => {
                let id = read.u16()?;
                read.date()?;
                Answer::CodeId(id)
            }
            Command::KEYPAD_CODE_COUNT => Answer::CodeCount(read.u16()?),
            Command::KEYPAD_CODE => Answer::Code(CodeRow::read(&mut read)?),
            Command::KEYTURNER_STATES => Answer::States(States::read(&mut read)?),
            Command::CONFIG => Answer::Config(Box::new(Config::read(&mut read)?)),
            Command::LOG_ENTRY => Answer::LogbookEntry(LogbookEntry::read(&mut read)?),
            _ => return Err(MessageError::Unknown),
        };
        match grows || read.0.is_empty() {
            true => Ok(answer),
            false => Err(MessageError::Malformed),
        }
    }
}

impl CodeRow {
    fn read(read: &mut Reader<'_>) -> Result<CodeRow, MessageError> {
        let id = read.u16()?;
        let digits = Zeroizing::new(read.u32()?.to_string());
        let name = read.text::<20>()?;
        let enabled = read.u8()? != 0;
        let _created_last_active_and_uses = read.array::<16>()?;
        let limited = read.u8()? != 0;
        // Some firmware tells the limit only where it counts.
        let limit = match read.0.is_empty() {
            true => Limit::between(Date::NONE, Date::NONE),
            false => Limit {
                from: read.date()?,
                until: read.date()?,
                weekdays: read.u8()?,
                daily_from: read.array()?,
                daily_until: read.array()?,
            },
        };
        Ok(CodeRow {
            id,
            code: KeypadCode {
                pin: Pin::parse(&digits).ok_or(MessageError::Malformed)?,
                name,
                enabled,
                limit: limited.then_some(limit),
            },
        })
    }
}

impl States {
    fn read(read: &mut Reader<'_>) -> Result<States, Short> {
        let [_mode, bolt, _trigger] = read.array()?;
        let time = read.date()?;
        let _offset_from_utc = read.array::<2>()?;
        let [battery, _config_count, _timer] = read.array()?;
        // From here on only newer firmware speaks: the last action, the door sensor, night mode.
        let keypad = read.array::<5>().and_then(|_| read.u8()).ok();
        Ok(States {
            bolt,
            time,
            battery_critical: battery & 1 != 0,
            battery_percent: (battery >> 2) * 2,
            keypad_battery_critical: keypad.filter(|state| state & 1 != 0).map(|state| state & 2 != 0),
        })
    }
}

impl Config {
    fn read(read: &mut Reader<'_>) -> Result<Config, Short> {
        let _nuki_id = read.u32()?;
        let name = read.text::<32>()?;
        let _place_to_advertising = read.array::<29>()?;
        let has_keypad = read.u8()? != 0;
        let _firmware_and_hardware = read.array::<5>()?;
        let _homekit_to_capabilities = read.array::<5>();
        let has_keypad_2 = read.u8().is_ok_and(|has| has != 0);
        Ok(Config {
            name,
            has_keypad: has_keypad || has_keypad_2,
        })
    }
}

impl LogbookEntry {
    fn read(read: &mut Reader<'_>) -> Result<LogbookEntry, Short> {
        const KEYPAD: u8 = 5;
        let (number, at) = (read.u32()?, read.date()?);
        let _authorization_and_name = read.array::<36>()?;
        let what = match read.u8()? {
            KEYPAD => {
                // A code or a finger: a finger belongs to a code.
                let [action, _source, completion] = read.array()?;
                Happened::Keypad {
                    action,
                    completion,
                    code: read.u16()?,
                }
            }
            other => Happened::Other(other),
        };
        Ok(LogbookEntry { number, at, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_code_that_moved_the_bolt_did() {
        let at_keypad = |action, completion, code| {
            Happened::Keypad {
                action,
                completion,
                code,
            }
            .moved_by()
        };
        let done: Vec<_> = (0..=8).map(|action| at_keypad(action, 0, 7)).collect();
        let (out, back) = (Some((7, true)), Some((7, false)));
        // What fits (nobody knows what did); unlock, lock, unlatch, lock after a while, the same with the latch, lock fully.
        assert_eq!(done, [None, back, out, back, back, back, out, None, None]);
        // No code; one that opens nothing; a bolt that is stuck.
        assert_eq!(
            [at_keypad(1, 0, 0), at_keypad(1, 0xe0, 7), at_keypad(2, 1, 7)],
            [None; 3]
        );
        assert_eq!(Happened::Other(2).moved_by(), None);
    }
}
