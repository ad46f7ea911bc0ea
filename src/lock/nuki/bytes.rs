//! Numbers, dates and texts out of bytes that nobody vouches for, and into bytes.

use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// There were fewer bytes than the form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short;

/// Takes bytes off the front, little endian.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn date(&mut self) -> Result<Date, Short> {
        Ok(Date {
            year: self.u16()?,
            month: self.u8()?,
            day: self.u8()?,
            hour: self.u8()?,
            minute: self.u8()?,
            second: self.u8()?,
        })
    }

    /// Text in a field of `N` bytes. What stands behind the first zero is padding, and some of it is rubbish.
    pub fn text<const N: usize>(&mut self) -> Result<String, Short> {
        let field = self.array::<N>()?;
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// Text in a field of `N` bytes, cut between two characters.
pub(super) fn field<const N: usize>(text: &str) -> [u8; N] {
    let end = (0..=N).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(text.as_bytes().iter().take(end)) {
        *to = *from;
    }
    field
}

/// A date and time as the lock writes it, in UTC. It need not be one that the calendar knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Date {
    /// What stands for no date: some lock may refuse a year 0, and this one all have taken.
    pub const NONE: Date = Date {
        year: 2000,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
    };

    /// The second in which an instant falls; `None` before the year 0 and after the year 9999.
    #[must_use]
    pub fn of(at: Timestamp) -> Option<Date> {
        let instant = jiff::Timestamp::from_millisecond(at.floor_second().0).ok()?;
        let date = TimeZone::UTC.to_datetime(instant);
        let small = |number: i8| u8::try_from(number).ok();
        Some(Date {
            year: u16::try_from(date.year()).ok()?,
            month: small(date.month())?,
            day: small(date.day())?,
            hour: small(date.hour())?,
            minute: small(date.minute())?,
            second: small(date.second())?,
        })
    }

    /// The instant; `None` if the calendar knows none such.
    #[must_use]
    pub fn instant(self) -> Option<Timestamp> {
        let small = |number: u8| i8::try_from(number).ok();
        let date = jiff::civil::DateTime::new(
            i16::try_from(self.year).ok()?,
            small(self.month)?,
            small(self.day)?,
            small(self.hour)?,
            small(self.minute)?,
            small(self.second)?,
            0,
        );
        let instant = TimeZone::UTC.to_timestamp(date.ok()?).ok()?;
        Some(Timestamp(instant.as_millisecond()))
    }

    pub(super) fn bytes(self) -> [u8; 7] {
        let [low, high] = self.year.to_le_bytes();
        [
            low,
            high,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(field::<4>("abcüd"), *b"abc\0");
        assert_eq!(field::<5>("abcüd"), *b"abc\xc3\xbc");
        assert_eq!(field::<3>("ab"), *b"ab\0");
        assert_eq!(Reader(b"ab\0\xff\xffrest").text::<5>(), Ok("ab".to_owned()));
        assert_eq!(Reader(b"ab").text::<3>(), Err(Short));
    }

    #[test]
    fn a_date_that_is_none_makes_no_instant() {
        let at = Timestamp(1_795_324_839_999);
        let date = Date::of(at).unwrap();
        assert_eq!(date.instant(), Some(at.floor_second()));
        for (month, day, second) in [(13, 1, 0), (2, 30, 0), (0, 1, 0), (1, 1, 60), (1, 255, 0)] {
            let odd = Date {
                month,
                day,
                second,
                ..date
            };
            assert_eq!(odd.instant(), None, "{odd:?}");
        }
        assert_eq!(Date::of(Timestamp::MAX), None);
        assert_eq!(Date::of(Timestamp(-99_999_999_999_999)), None);
    }
}
