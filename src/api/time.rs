//! Times as callers write and read them.

use serde_json::Value;

use crate::model::Timestamp;

/// The first instant of the year 1.
const FIRST: Timestamp = Timestamp(-62_135_596_800_000);
/// The last instant of the calendar that callers and gateway share.
pub const LAST: &str = "9999-12-30T00:00:00.000Z";

/// Reads a date and time with its offset, as ISO 8601 and RFC 3339 have it.
///
/// # Errors
/// What is wrong with it, for the caller.
pub fn parse(text: &str) -> Result<Timestamp, &'static str> {
    const EXAMPLE: &str = "must be an ISO 8601 date and time with its offset, such as 2030-11-15T15:00:00Z";
    // A bracketed zone would need a database of zones, and a caller who has one knows the offset.
    if text.contains('[') {
        return Err(EXAMPLE);
    }
    if text.starts_with("9999-12-31") || text.starts_with("9999-12-30") {
        return Err("must lie before 9999-12-30");
    }
    let instant: jiff::Timestamp = text.parse().map_err(|_| EXAMPLE)?;
    let at = Timestamp(instant.as_millisecond());
    // Years that are written with four digits: others come back in a form that few can read.
    match FIRST <= at {
        true => Ok(at),
        false => Err(EXAMPLE),
    }
}

/// Writes a time in UTC with milliseconds; `null` beyond the years that a calendar knows.
#[must_use]
pub fn show(at: Timestamp) -> Value {
    text(at).map_or(Value::Null, Value::String)
}

/// Writes a time in UTC without fractions of a second, for sentences; the last instant of the calendar in the
/// place of what lies beyond.
#[must_use]
pub fn second(at: Timestamp) -> String {
    let whole = text(at).and_then(|text| Some(format!("{}Z", text.split_once('.')?.0)));
    whole.unwrap_or_else(|| LAST.to_owned())
}

/// Writes a time in UTC with milliseconds, as text; `None` beyond the years that a calendar knows.
#[must_use]
pub fn text(at: Timestamp) -> Option<String> {
    const MILLISECONDS: jiff::fmt::temporal::DateTimePrinter =
        jiff::fmt::temporal::DateTimePrinter::new().precision(Some(3));
    let instant = jiff::Timestamp::from_millisecond(at.0).ok()?;
    Some(MILLISECONDS.timestamp_to_string(&instant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_utc_with_milliseconds() {
        for (given, shown) in [
            ("2024-11-15T15:00:00Z", "2024-11-15T15:00:00.000Z"),
            ("2024-11-15T15:00:00.000Z", "2024-11-15T15:00:00.000Z"),
            ("2024-11-15T15:00:00+01:00", "2024-11-15T14:00:00.000Z"),
            ("2024-11-15T15:00:00.1239-0500", "2024-11-15T20:00:00.123Z"),
        ] {
            assert_eq!(show(parse(given).unwrap()), shown, "{given}");
        }
    }

    #[test]
    fn a_time_without_offset_is_refused() {
        for bad in [
            "2024-11-15T15:00:00",
            "2024-11-15",
            "15:00",
            "",
            "tomorrow",
            "1731682800",
            "2024-02-30T15:00:00Z",
            "0000-12-31T23:59:59Z",
            "-000001-01-01T00:00:00Z",
            "2024-11-15T15:00:00+01:00[Europe/Paris]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn beyond_the_calendar_is_null() {
        assert_eq!(show(Timestamp::MAX), Value::Null);
    }
}
