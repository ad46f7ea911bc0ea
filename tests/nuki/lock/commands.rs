//! What a paired user may ask.

use super::wire::{date, open, sender};
use super::{Code, Kind, Manner, SimLock, seal};

const BAD_LENGTH: u8 = 0xfe;
const BAD_PIN: u8 = 0x21;
const BAD_NONCE: u8 = 0x22;
const BAD_PARAMETER: u8 = 0x23;
const INVALID_AUTH_ID: u8 = 0x24;
const TOO_MANY_PIN_ATTEMPTS: u8 = 0x28;
const TOO_MANY_ENTRIES: u8 = 0x29;
const CODE_ALREADY_EXISTS: u8 = 0x2a;
const BUSY: u8 = 0x45;

const COMPLETE: (u16, &[u8]) = (0x0e, &[0]);

/// Wrong security PINs until the lock takes none any more.
const LOCKOUT: u32 = 3;

type Said = Vec<(u16, Vec<u8>)>;

impl SimLock {
    /// A frame on the everyday characteristic. Who has no key that it knows gets no answer.
    pub(super) fn hear_sealed(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let Some(user) = sender(frame) else {
            return Vec::new();
        };
        let Some(key) = self.users.get(&user).map(|user| user.key) else {
            return Vec::new();
        };
        let Some((command, payload)) = open(&key, frame) else {
            return Vec::new();
        };
        let mut said = Said::new();
        if self.chatty {
            said.push((0x0c, self.states()));
            said.push((0x12, vec![BUSY, 0x00, 0x01]));
        }
        match self.obey(user, command, &payload) {
            Ok(answers) => said.extend(answers),
            Err(code) => {
                let [low, high] = command.to_le_bytes();
                said.push((0x12, vec![code, low, high]));
            }
        }
        said.into_iter()
            .map(|(command, payload)| {
                let nonce = self.draw();
                seal(&key, nonce, user, command, &payload)
            })
            .collect()
    }

    fn obey(&mut self, user: u32, command: u16, payload: &[u8]) -> Result<Said, u8> {
        if command == 0x01 {
            return match payload {
                [0x04, 0x00] => {
                    let challenge = self.draw();
                    self.challenge = Some((user, challenge));
                    Ok(vec![(0x04, challenge.to_vec())])
                }
                [0x0c, 0x00] => Ok(vec![(0x0c, self.states())]),
                _ => Err(BAD_PARAMETER),
            };
        }
        self.done.push(command);
        // What is asked; the challenge; the security PIN.
        let (asked, has_pin) = match command {
            0x08 => (4, true),
            0x0d => (payload.len().saturating_sub(32), false),
            0x14 => (0, false),
            0x20 => (0, true),
            0x21 => (7, true),
            0x31 => (8, true),
            0x41 => (44, true),
            0x43 => (4, true),
            0x46 => (47, true),
            0x47 => (2, true),
            _ => return Err(BAD_PARAMETER),
        };
        let width = match (has_pin, self.kind) {
            (false, _) => 0,
            (true, Kind::Classic) => 2,
            (true, Kind::Ultra) => 4,
        };
        if payload.len() != asked + 32 + width || (command == 0x0d && asked != 6 && asked != 26) {
            return Err(BAD_LENGTH);
        }
        let (asked, rest) = payload.split_at(asked);
        let (challenge, pin) = rest.split_at(32);
        if self
            .challenge
            .take()
            .is_none_or(|known| known != (user, challenge.try_into().unwrap()))
        {
            return Err(BAD_NONCE);
        }
        if has_pin {
            if self
                .forgets_pin_after
                .is_some_and(|commands| self.done.len() > commands)
            {
                (self.security_pin, self.forgets_pin_after) = (self.security_pin ^ 1, None);
            }
            if self.wrong_pins >= LOCKOUT {
                return Err(TOO_MANY_PIN_ATTEMPTS);
            }
            if pin != &self.security_pin.to_le_bytes()[..width] {
                self.wrong_pins += 1;
                return Err(BAD_PIN);
            }
        }
        if self.busy_after.is_some_and(|commands| self.done.len() > commands) {
            return Err(BUSY);
        }
        match command {
            0x08 => {
                let user = u32::from_le_bytes(asked.try_into().unwrap());
                self.users.remove(&user).ok_or(INVALID_AUTH_ID)?;
                Ok(complete())
            }
            0x0d => Ok(self.move_bolt(asked)),
            0x14 => Ok(vec![(0x15, self.config())]),
            0x21 if self.refuses_time => Err(BAD_PARAMETER),
            0x21 => {
                let set = read_date(asked).ok_or(BAD_PARAMETER)?;
                self.clock_off_ms += set - self.clock_ms();
                Ok(complete())
            }
            0x31 => Ok(self.tell_log(asked)),
            0x43 => Ok(self.list(asked)),
            0x41 | 0x46 | 0x47 => self.change(command, asked),
            _ => Ok(complete()),
        }
    }

    fn change(&mut self, command: u16, asked: &[u8]) -> Result<Said, u8> {
        match self.manner {
            Manner::Objects { code, does_it } => {
                if does_it {
                    self.really_change(command, asked)?;
                }
                Err(code)
            }
            Manner::Liar => {
                let (codes, next) = (self.codes.clone(), self.next_id);
                let said = self.really_change(command, asked);
                (self.codes, self.next_id) = (codes, next);
                said
            }
            Manner::Honest => self.really_change(command, asked),
        }
    }

    fn really_change(&mut self, command: u16, asked: &[u8]) -> Result<Said, u8> {
        if command == 0x41 {
            let is_free = |id: &u16| self.codes.iter().all(|code| code.id != *id);
            let id = match self.reuses_ids {
                true => (1..).find(is_free).unwrap(),
                false => self.next_id,
            };
            let code = self.read_code(id, &asked[..24], true, &asked[24..])?;
            if self.codes.len() >= self.capacity {
                return Err(TOO_MANY_ENTRIES);
            }
            let mut answer = code.id.to_le_bytes().to_vec();
            answer.extend(date(self.clock_ms()));
            self.next_id = self.next_id.max(code.id + 1);
            self.codes.push(code);
            return Ok(vec![(0x42, answer)]);
        }
        let id = u16::from_le_bytes([asked[0], asked[1]]);
        let at = self
            .codes
            .iter()
            .position(|code| code.id == id)
            .ok_or(BAD_PARAMETER)?;
        if command == 0x47 {
            self.codes.remove(at);
        } else {
            let uses = self.codes[at].uses;
            let code = self.read_code(id, &asked[2..26], asked[26] != 0, &asked[27..])?;
            self.codes[at] = Code { uses, ..code };
        }
        Ok(complete())
    }

    fn read_code(&self, id: u16, head: &[u8], enabled: bool, limit: &[u8]) -> Result<Code, u8> {
        let digits = u32::from_le_bytes(head[..4].try_into().unwrap());
        let text = digits.to_string();
        if text.len() != 6 || text.contains('0') || text.starts_with("12") {
            return Err(BAD_PARAMETER);
        }
        if self
            .codes
            .iter()
            .any(|code| code.id != id && code.digits == digits)
        {
            return Err(CODE_ALREADY_EXISTS);
        }
        let limited = limit[0] != 0;
        let (from, until): ([u8; 7], [u8; 7]) =
            (limit[1..8].try_into().unwrap(), limit[8..15].try_into().unwrap());
        if limited && (read_date(&from).is_none() || read_date(&from) >= read_date(&until)) {
            return Err(BAD_PARAMETER);
        }
        let end = head[4..].iter().position(|byte| *byte == 0).unwrap_or(20);
        Ok(Code {
            id,
            digits,
            name: String::from_utf8(head[4..4 + end].to_vec()).map_err(|_| BAD_PARAMETER)?,
            enabled,
            limited,
            from,
            until,
            weekdays: limit[15],
            hours: limit[16..20].try_into().unwrap(),
            uses: 0,
        })
    }

    fn list(&mut self, asked: &[u8]) -> Said {
        let number = |at: usize| usize::from(u16::from_le_bytes([asked[at], asked[at + 1]]));
        let mut said = vec![(
            0x44,
            u16::try_from(self.codes.len()).unwrap().to_le_bytes().to_vec(),
        )];
        for code in self.codes.iter().skip(number(0)).take(number(2)) {
            let mut row = code.id.to_le_bytes().to_vec();
            row.extend(code.digits.to_le_bytes());
            row.extend(code.name.as_bytes());
            row.resize(26, 0);
            row.push(u8::from(code.enabled));
            row.extend(date(self.clock_ms()));
            row.extend([0; 7]);
            row.extend(code.uses.to_le_bytes());
            row.push(u8::from(code.limited));
            if code.limited || self.wide_rows {
                row.extend(code.from);
                row.extend(code.until);
                row.push(code.weekdays);
                row.extend(code.hours);
            }
            said.push((0x45, row));
        }
        if self.says_end {
            said.extend(complete());
        }
        said
    }

    fn move_bolt(&mut self, asked: &[u8]) -> Said {
        self.locked = asked[0] == 2;
        vec![(0x0e, vec![1]), (0x0c, self.states()), (0x0e, vec![0])]
    }

    fn tell_log(&mut self, asked: &[u8]) -> Said {
        let from = u32::from_le_bytes(asked[..4].try_into().unwrap());
        let count = usize::from(u16::from_le_bytes([asked[4], asked[5]])).min(self.log_page);
        let mut said = Said::new();
        if asked[7] != 0 {
            let all = u16::try_from(self.log.len()).unwrap().to_le_bytes();
            said.push((0x33, vec![1, all[0], all[1], 0, 0]));
        }
        let entries = (self.log_begins..).zip(self.log.iter());
        let entries: Vec<_> = match asked[6] {
            0 => entries.filter(|(index, _)| from <= *index).take(count).collect(),
            _ => {
                let mut entries: Vec<_> = entries.filter(|(index, _)| from == 0 || *index <= from).collect();
                entries.reverse();
                entries.truncate(count);
                entries
            }
        };
        for (index, logged) in entries {
            let mut entry = index.to_le_bytes().to_vec();
            entry.extend(date(logged.clock_ms));
            entry.extend([0; 4]);
            entry.extend(*b"Guest\0rubbish\xff\xfe");
            entry.resize(47, 0);
            entry.extend([5, logged.action, logged.source, logged.completion]);
            entry.extend(logged.code.to_le_bytes());
            said.push((0x32, entry));
        }
        said.extend(complete());
        if let Some(digits) = self.typed_meanwhile.pop() {
            self.keypad(digits);
        }
        said
    }

    fn states(&self) -> Vec<u8> {
        let mut states = vec![2, if self.locked { 1 } else { 3 }, 0];
        states.extend(date(self.clock_ms()));
        states.extend(60_i16.to_le_bytes());
        // 90 percent; nothing else to tell; the keypad's battery is well.
        states.extend([45 << 2, 7, 0, 0, 0, 0, 2, 0, 1]);
        states
    }

    fn config(&self) -> Vec<u8> {
        let mut config = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        config.extend(b"Front door");
        config.resize(77, 0);
        config[45] = 1;
        config[65] = 1;
        config[66..69].copy_from_slice(&[4, 3, 2]);
        config[69..71].copy_from_slice(&[9, 1]);
        config
    }
}

fn complete() -> Said {
    vec![(COMPLETE.0, COMPLETE.1.to_vec())]
}

/// The milliseconds since 1970 of a date; `None` if the calendar knows none such.
pub fn read_date(bytes: &[u8]) -> Option<i64> {
    let year = i16::try_from(u16::from_le_bytes([bytes[0], bytes[1]])).ok()?;
    let small = |at: usize| i8::try_from(bytes[at]).ok();
    let date = jiff::civil::Date::new(year, small(2)?, small(3)?).ok()?;
    let time = jiff::civil::Time::new(small(4)?, small(5)?, small(6)?, 0).ok()?;
    let instant = jiff::tz::TimeZone::UTC
        .to_timestamp(date.to_datetime(time))
        .ok()?;
    Some(instant.as_millisecond())
}
