//! What the gateway says, in the words of the story; and the end of it, where
//! it says something else. A failure shows no PIN.

use serde_json::Value;

use crate::api::time;
use crate::cli::Failure;
use crate::model::Timestamp;

/// Whether a member is proven, and how far it is in words.
pub(super) fn progress(member: &Value, now: Timestamp) -> (bool, String) {
    let waiting = &member["waiting"];
    let next = waiting["next_try"]
        .as_str()
        .and_then(|next| time::parse(next).ok());
    match &member["proven"] {
        Value::Null if next.is_some_and(|next| next > now) => {
            let (reason, tries) = (text(&waiting["reason"]), &waiting["tries"]);
            let next = clock_time(&waiting["next_try"]);
            (false, format!("{reason}, tries {tries}, next at {next}"))
        }
        Value::Null => (false, "the lock is asked".to_owned()),
        proven => {
            let at = clock_time(&proven["at"]);
            (true, format!("proven: {}, at {at}", text(&proven["how"])))
        }
    }
}

/// Insists that what was said is as expected.
pub(super) fn expect(holds: bool, expected: &str, said: &Value) -> Result<(), Failure> {
    match holds {
        true => Ok(()),
        false => Err(unmet(expected, said)),
    }
}

/// The end of the story: what was expected, and what was said instead.
pub(super) fn unmet(expected: &str, said: &Value) -> Failure {
    let said = without_pins(said.clone());
    Failure::other(format!(
        "the story did not come true\nexpected: {expected}\nthe gateway said: {said}"
    ))
}

/// A reply is shown once, as a reply; elsewhere it has no PIN.
fn without_pins(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields {
                *field = match (name.as_str(), field.take()) {
                    ("code", Value::String(_)) => "hidden".into(),
                    (_, field) => without_pins(field),
                };
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = without_pins(item.take())),
        _ => {}
    }
    value
}

/// The members of a list; of anything else none.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text as it is; anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The shortest and the longest of lengths in a row.
pub(super) fn range(lengths: &Value) -> String {
    let lengths: Vec<u64> = items(lengths).filter_map(Value::as_u64).collect();
    match (lengths.first(), lengths.last()) {
        (Some(first), Some(last)) if first != last => format!("{first}-{last}"),
        (Some(first), _) => first.to_string(),
        _ => "?".to_owned(),
    }
}

/// `17:06:51Z` of a time in the API's own writing.
pub(super) fn clock_time(at: &Value) -> String {
    let at = text(at);
    at.get(11..19)
        .map_or_else(|| at.clone(), |time| format!("{time}Z"))
}

/// `2026-11-25 10:00:00Z` of a time in the API's own writing.
pub(super) fn date(at: &Value) -> String {
    let whole = text(at);
    let day = whole.get(..10).unwrap_or(&whole);
    format!("{day} {}", clock_time(at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_failure_says_what_was_expected_and_no_pin() {
        let said = json!({"access_codes": [{"code": "481516", "errors": [{"error_code": "x"}]}]});
        let told = unmet("an open door", &said).message;
        assert!(told.contains("expected: an open door"), "{told}");
        assert!(told.contains(r#""code":"hidden""#) && told.contains(r#""error_code":"x""#));
        assert!(!told.contains("481516"), "{told}");
    }

    #[test]
    fn progress_is_what_the_receipt_says() {
        let now = Timestamp(1_000_000);
        let waits = |next: Timestamp| {
            json!({"proven": null, "waiting": {
                "reason": "device_silent", "tries": 2, "next_try": time::show(next)}})
        };
        let (_, later) = progress(&waits(now + HOUR), now);
        assert_eq!(later, "device_silent, tries 2, next at 01:16:40Z");
        assert_eq!(
            progress(&waits(now), now),
            (false, "the lock is asked".to_owned())
        );
        let proven = json!({"proven": {"how": "read_back", "at": time::show(now)}, "waiting": null});
        let told = (true, "proven: read_back, at 00:16:40Z".to_owned());
        assert_eq!(progress(&proven, now), told);
    }
}
