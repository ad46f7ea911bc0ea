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
    pub const BATTERY_REPORT: Command = Command(0x0011);
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
    /// How the battery did at the last movement. It needs no nonce.
    Battery,
    /// How the lock is set up.
    Config,
    /// Whether the security PIN is right.
    VerifyPin,
    /// Set the lock's clock.
    SetTime(Date),
    /// Tell what happened.
    Log(LogRange),
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

/// Which entries of the log are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The index to begin with; 0 for the newest or the oldest.
    pub from: u32,
    /// How many at most.
    pub count: u16,
    /// The newest first.
    pub newest_first: bool,
    /// Tell the number of all entries, too.
    pub with_total: bool,
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
            Request::Challenge | Request::States | Request::Battery => Command::REQUEST_DATA,
            Request::Config => Command::REQUEST_CONFIG,
            Request::VerifyPin => Command::VERIFY_SECURITY_PIN,
            Request::SetTime(_) => Command::UPDATE_TIME,
            Request::Log(_) => Command::REQUEST_LOG_ENTRIES,
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
            Request::Challenge | Request::States | Request::Battery | Request::Config | Request::Bolt { .. }
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
            Request::Battery => bytes.extend(Command::BATTERY_REPORT.0.to_le_bytes()),
            Request::Config | Request::VerifyPin => {}
            Request::SetTime(date) => bytes.extend(date.bytes()),
            Request::Log(range) => {
                bytes.extend(range.from.to_le_bytes());
                bytes.extend(range.count.to_le_bytes());
                bytes.extend([u8::from(range.newest_first), u8::from(range.with_total)]);
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
    /// How its battery did.
    Battery(Battery),
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
    LogEntry(LogEntry),
}

/// One code of the lock's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// The id that the lock gave.
    pub id: u16,
    /// What stands there.
    pub code: KeypadCode,
    /// When it was added.
    pub created: Date,
    /// When it last opened; no date that the calendar knows if never.
    pub last_active: Date,
    /// How often it opened.
    pub uses: u16,
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
    /// 2 is an everyday door; the vendor's list has the rest.
    pub mode: u8,
    /// Where its bolt is: 1 locked, 3 unlocked; the vendor's list has the rest.
    pub bolt: u8,
    /// What moved it last.
    pub trigger: u8,
    /// What its clock shows, in UTC.
    pub time: Date,
    /// Its local time less UTC, in minutes.
    pub offset_minutes: i16,
    /// Its battery is nearly empty.
    pub battery_critical: bool,
    /// Charge of its battery in percent.
    pub battery_percent: u8,
    /// Changes with its configuration.
    pub config_count: u8,
    /// The battery of its keypad is nearly empty; `None` if it does not say.
    pub keypad_battery_critical: Option<bool>,
}

/// How its battery did at the last movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Battery {
    /// Voltage in millivolts.
    pub millivolts: u16,
    /// It is nearly empty.
    pub critical: bool,
    /// Lowest voltage during the movement in millivolts.
    pub lowest_millivolts: u16,
    /// Temperature in degrees Celsius.
    pub celsius: i8,
}

/// How the lock is set up, as far as a gateway needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its number, as printed in the app.
    pub nuki_id: u32,
    /// Its name in the app.
    pub name: String,
    /// Whether its button starts a pairing.
    pub pairing_enabled: bool,
    /// Whether a keypad of either generation belongs to it.
    pub has_keypad: bool,
    /// Its firmware: major, minor, revision.
    pub firmware: [u8; 3],
    /// Its hardware.
    pub hardware: [u8; 2],
}

/// Something that happened at the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number.
    pub index: u32,
    /// When, by the lock's clock.
    pub at: Date,
    /// Under whose authorization.
    pub authorization: u32,
    /// Whose name the lock wrote down.
    pub name: String,
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
        /// 0 the arrow, 1 a code, 2 a finger.
        source: u8,
        /// 0 done, 0xE0 a code that opens nothing; the vendor's list has the rest.
        completion: u8,
        /// Which code; 0 for none.
        code: u16,
    },
    /// Something else, by the vendor's number for its kind.
    Other(u8),
}

impl Happened {
    /// The id of the code that moved the bolt, and whether the bolt is out since; `None` if no code did.
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
            _ => return None,
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
            Command::KEYTURNER_STATES
                | Command::BATTERY_REPORT
                | Command::CONFIG
                | Command::KEYPAD_CODE
                | Command::LOG_ENTRY
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
            Command::BATTERY_REPORT => Answer::Battery(Battery::read(&mut read)?),
            Command::CONFIG => Answer::Config(Box::new(Config::read(&mut read)?)),
            Command::LOG_ENTRY => Answer::LogEntry(LogEntry::read(&mut read)?),
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
        let (created, last_active, uses) = (read.date()?, read.date()?, read.u16()?);
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
            created,
            last_active,
            uses,
        })
    }
}

impl States {
    fn read(read: &mut Reader<'_>) -> Result<States, Short> {
        let [mode, bolt, trigger] = read.array()?;
        let time = read.date()?;
        let offset_minutes = i16::from_le_bytes(read.array()?);
        let [battery, config_count, _timer] = read.array()?;
        // From here on only newer firmware speaks: the last action, the door sensor, night mode.
        let keypad = read.array::<5>().and_then(|_| read.u8()).ok();
        Ok(States {
            mode,
            bolt,
            trigger,
            time,
            offset_minutes,
            battery_critical: battery & 1 != 0,
            battery_percent: (battery >> 2) * 2,
            config_count,
            keypad_battery_critical: keypad.filter(|state| state & 1 != 0).map(|state| state & 2 != 0),
        })
    }
}

impl Battery {
    fn read(read: &mut Reader<'_>) -> Result<Battery, Short> {
        let _drain = read.u16()?;
        let millivolts = read.u16()?;
        let [critical, _action] = read.array()?;
        let _start = read.u16()?;
        let lowest_millivolts = read.u16()?;
        let _distance = read.u16()?;
        Ok(Battery {
            millivolts,
            critical: critical != 0,
            lowest_millivolts,
            celsius: i8::from_le_bytes(read.array()?),
        })
    }
}

impl Config {
    fn read(read: &mut Reader<'_>) -> Result<Config, Short> {
        let nuki_id = read.u32()?;
        let name = read.text::<32>()?;
        let _place_and_auto_unlatch = read.array::<9>()?;
        let pairing_enabled = read.u8()? != 0;
        let _button_to_advertising = read.array::<19>()?;
        let has_keypad = read.u8()? != 0;
        let (firmware, hardware) = (read.array()?, read.array()?);
        let _homekit_to_capabilities = read.array::<5>();
        let has_keypad_2 = read.u8().is_ok_and(|has| has != 0);
        Ok(Config {
            nuki_id,
            name,
            pairing_enabled,
            has_keypad: has_keypad || has_keypad_2,
            firmware,
            hardware,
        })
    }
}

impl LogEntry {
    fn read(read: &mut Reader<'_>) -> Result<LogEntry, Short> {
        const KEYPAD: u8 = 5;
        Ok(LogEntry {
            index: read.u32()?,
            at: read.date()?,
            authorization: read.u32()?,
            name: read.text::<32>()?,
            what: match read.u8()? {
                KEYPAD => Happened::Keypad {
                    action: read.u8()?,
                    source: read.u8()?,
                    completion: read.u8()?,
                    code: read.u16()?,
                },
                other => Happened::Other(other),
            },
        })
    }
}
