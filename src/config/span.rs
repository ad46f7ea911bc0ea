//! Spans of time as people write them: `200ms`, `90s`, `10m`, `72h`, `30d`.

use std::time::Duration;

/// Milliseconds of each unit, longest first, as spans are printed.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A whole number and its unit.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (Some((_, ms)), Ok(number)) = (known, number.parse::<u64>()) else {
        return Err(format!(
            "\"{text}\" is not a span of time; write a whole number and ms, s, m, h or d, as in \"90s\""
        ));
    };
    let ms = number
        .checked_mul(*ms)
        .ok_or_else(|| format!("\"{text}\" is too long"))?;
    Ok(Duration::from_millis(ms))
}

/// The span in the largest unit that needs no fraction.
pub(super) fn print(span: Duration) -> String {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, unit): &&(&str, u64)| ms != 0 && ms % unit == 0;
    match UNITS.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", ms / unit),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_was_read() {
        for text in ["200ms", "90s", "10m", "72h", "30d", "0s"] {
            let span = parse(text).unwrap();
            assert_eq!(parse(&print(span)), Ok(span), "{text}");
        }
        assert_eq!(print(Duration::from_secs(90)), "90s");
        assert_eq!(print(Duration::from_secs(72 * 3600)), "3d");
    }

    #[test]
    fn only_a_whole_number_and_a_known_unit() {
        for bad in [
            "",
            "10",
            "m",
            "1.5h",
            "-1s",
            "10 m",
            "10M",
            "1w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
