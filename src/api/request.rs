//! What callers ask to be changed, read strictly.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::endpoint::{self, BEHAVIORS};
use super::form::Form;
use super::parameter::whole;
use crate::gateway::Verb;
use crate::model::{
    CodeId, Create, CreateMultiple, Deed, Delete, DeviceId, DeviceReason, DoorCommand, GroupKey, NewTimes,
    Note, Pin, Reason, Refusal, ReportConstraints, Request, Timestamp, Unshared, Update, UpdateDevice,
    UpdateMultiple, Window,
};

/// Parameters that say how a request travels, not what it asks for.
const ENVELOPE: [&str; 5] = ["job_id", "reply_to", "progress", "_strict", "sync"];

/// Reads the body of a request.
///
/// # Errors
/// `invalid_input`, with what is wrong with each parameter.
pub fn parse(verb: Verb, body: &Value) -> Result<Request, Refusal> {
    let mut form = Form::open(endpoint::parameters(verb), body)?;
    let request = match verb {
        Verb::Create => create(&mut form)?.map(Request::Create),
        Verb::CreateMultiple => create_multiple(&mut form)?.map(Request::CreateMultiple),
        Verb::Update => update(&mut form).map(Request::Update),
        Verb::UpdateMultiple => update_multiple(&mut form).map(Request::UpdateMultiple),
        Verb::Delete => delete(&form).map(Request::Delete),
        Verb::UpdateDevice => update_device(&form).map(Request::UpdateDevice),
        Verb::ReportConstraints => report_constraints(&mut form).map(Request::ReportConstraints),
        Verb::LockDoor => door(&form, Deed::Lock).map(Request::Door),
        Verb::UnlockDoor => door(&form, Deed::Unlock).map(Request::Door),
    };
    form.close()?;
    request.ok_or_else(missing)
}

/// Reads the parameters of a dry run: those of `create_multiple`.
///
/// # Errors
/// `invalid_input`, with every parameter that is wrong.
pub fn dry_run(body: &Value) -> Result<CreateMultiple, Refusal> {
    let mut form = Form::open(endpoint::parameters(Verb::CreateMultiple), body)?;
    let job = create_multiple(&mut form)?;
    form.close()?;
    job.ok_or_else(missing)
}

/// What a request needs and does not have, the form has complained about.
fn missing() -> Refusal {
    Refusal::new(Reason::InvalidInput, "a parameter is missing")
}

/// What tells one request from another under the same id: the SHA-256 of what it asks for. The
/// order of parameters, and those that only say how it travels, make no difference.
#[must_use]
pub fn hash(verb: Verb, body: &Value) -> [u8; 32] {
    let mut canonical = String::from(verb.word());
    match body {
        Value::Object(map) => {
            let asked = map
                .iter()
                .filter(|(name, value)| !ENVELOPE.contains(&name.as_str()) && !value.is_null());
            write_object(asked, &mut canonical);
        }
        other => write_value(other, &mut canonical),
    }
    Sha256::digest(canonical.as_bytes()).into()
}

/// JSON has no order of members, so that they are sorted here, whatever the parser does.
fn write_object<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    let sorted: BTreeMap<_, _> = members.collect();
    out.push('{');
    for (name, value) in sorted {
        out.push_str(&Value::String(name.clone()).to_string());
        out.push(':');
        write_value(value, out);
        out.push(',');
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => write_object(map.iter(), out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_value(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn create(form: &mut Form<'_>) -> Result<Option<Create>, Refusal> {
    let device = device(form);
    may_be_kept(form, device.as_slice())?;
    let code = pin(form);
    let (Some(device), Some(window)) = (device, window(form)) else {
        return Ok(None);
    };
    Ok(Some(Create {
        device,
        preferred_length: preferred_length(form, &code),
        code,
        key: form.text("common_code_key").map(|key| GroupKey(key.to_owned())),
        name: text(form, "name"),
        window,
        attempt_offline: form.flag("attempt_for_offline_device").unwrap_or(true),
        prefer_native: form.flag("prefer_native_scheduling").unwrap_or(true),
    }))
}

fn create_multiple(form: &mut Form<'_>) -> Result<Option<CreateMultiple>, Refusal> {
    const DEVICES: &str = "device_ids";
    let ids = form.uuids(DEVICES).unwrap_or_default();
    if let Some(twice) = (1..ids.len()).find(|n| ids[..*n].contains(&ids[*n])) {
        form.wrong(DEVICES, format!("{} is named more than once", ids[twice]));
    }
    let devices: Vec<DeviceId> = ids.into_iter().map(DeviceId).collect();
    may_be_kept(form, &devices)?;
    let code = pin(form);
    let Some(window) = window(form) else {
        return Ok(None);
    };
    let [_, create_random_code] = BEHAVIORS;
    let unshared = match form.text("behavior_when_code_cannot_be_shared") {
        Some(word) if word == create_random_code => Unshared::CreateRandomCode,
        _ => Unshared::Throw,
    };
    Ok(Some(CreateMultiple {
        devices,
        preferred_length: preferred_length(form, &code),
        code,
        unshared,
        name: text(form, "name"),
        window,
        attempt_offline: form.flag("attempt_for_offline_device").unwrap_or(true),
        prefer_native: form.flag("prefer_native_scheduling").unwrap_or(true),
    }))
}

fn update(form: &mut Form<'_>) -> Option<Update> {
    let times = new_times(form);
    Some(Update {
        code: CodeId(form.uuid("access_code_id")?),
        device: device(form),
        pin: pin(form),
        name: text(form, "name"),
        times,
        attempt_offline: form.flag("attempt_for_offline_device").unwrap_or(true),
        prefer_native: form.flag("prefer_native_scheduling"),
    })
}

fn new_times(form: &mut Form<'_>) -> NewTimes {
    let (starts_at, ends_at) = (form.time("starts_at"), form.time("ends_at"));
    in_order(form, starts_at, ends_at);
    match form.text("type") {
        Some("ongoing") => {}
        None if starts_at.is_none() && ends_at.is_none() => return NewTimes::Keep,
        _ => return NewTimes::Bound { starts_at, ends_at },
    }
    for name in ["starts_at", "ends_at"] {
        if form.has(name) {
            form.wrong(name, "an ongoing access code has no times");
        }
    }
    NewTimes::Ongoing
}

fn update_multiple(form: &mut Form<'_>) -> Option<UpdateMultiple> {
    let (starts_at, ends_at) = (form.time("starts_at"), form.time("ends_at"));
    in_order(form, starts_at, ends_at);
    Some(UpdateMultiple {
        key: GroupKey(text(form, "common_code_key")?),
        starts_at,
        ends_at,
        name: text(form, "name"),
    })
}

fn delete(form: &Form<'_>) -> Option<Delete> {
    Some(Delete {
        code: CodeId(form.uuid("access_code_id")?),
        device: device(form),
    })
}

fn update_device(form: &Form<'_>) -> Option<UpdateDevice> {
    let older_place = || {
        let name = form.object("properties")?.get("name")?;
        name.as_str().map(str::to_owned)
    };
    let notes = form.object("custom_metadata").into_iter().flatten();
    let note = |(name, value): (&String, &Value)| {
        let note = match value {
            Value::String(text) => Some(Note::Text(text.clone())),
            Value::Bool(flag) => Some(Note::Flag(*flag)),
            _ => None,
        };
        (name.clone(), note)
    };
    Some(UpdateDevice {
        device: device(form)?,
        name: text(form, "name").or_else(older_place),
        metadata: notes.map(note).collect(),
    })
}

fn report_constraints(form: &mut Form<'_>) -> Option<ReportConstraints> {
    const LISTED: &str = "supported_code_lengths";
    let lengths = form.list(LISTED, whole);
    let (least, most) = (form.whole("min_code_length"), form.whole("max_code_length"));
    let ranged = form.has("min_code_length") || form.has("max_code_length");
    let lengths: Option<Vec<u64>> = match (lengths, least, most) {
        (_, Some(least), Some(most)) if least > most => {
            form.wrong("max_code_length", "must be at least min_code_length");
            None
        }
        (None, Some(least), Some(most)) => Some((least..=most).collect()),
        (Some(_), ..) if ranged => {
            form.wrong(LISTED, "goes alone, without min_code_length and max_code_length");
            None
        }
        (Some(lengths), ..) => Some(lengths),
        _ => {
            form.wrong(
                LISTED,
                "give supported_code_lengths, or min_code_length and max_code_length",
            );
            None
        }
    };
    let lengths: BTreeSet<u8> = lengths?.into_iter().flat_map(u8::try_from).collect();
    Some(ReportConstraints {
        device: device(form)?,
        lengths,
    })
}

fn door(form: &Form<'_>, deed: Deed) -> Option<DoorCommand> {
    let device = device(form)?;
    Some(DoorCommand { device, deed })
}

/// Refuses codes that a lock computes by itself, and those that are to die after one use: neither
/// can be had here, and an ordinary code in their place would open for longer than was asked for.
fn may_be_kept(form: &Form<'_>, devices: &[DeviceId]) -> Result<(), Refusal> {
    const CANNOT: [(&str, &str); 3] = [
        ("is_offline_access_code", "cannot make offline access codes"),
        ("use_offline_access_code", "cannot make offline access codes"),
        ("is_one_time_use", "cannot take a code away after one use"),
    ];
    let asked = |(name, _): &&(&str, &str)| form.says_true(name);
    let Some((name, what)) = CANNOT.iter().find(asked).filter(|_| !devices.is_empty()) else {
        return Ok(());
    };
    let reasons: Vec<DeviceReason> = devices
        .iter()
        .map(|device| DeviceReason {
            device: *device,
            reason: Reason::InvalidInput,
            message: format!("{device} {what}"),
        })
        .collect();
    let named: Vec<String> = devices.iter().map(DeviceId::to_string).collect();
    let message = format!("{name}: the devices of this gateway {what}");
    let mut refusal = Refusal::by_devices(Reason::InvalidInput, message, reasons);
    refusal.fields.push((
        (*name).to_owned(),
        format!("not possible on {}", named.join(", ")),
    ));
    Err(refusal)
}

fn device(form: &Form<'_>) -> Option<DeviceId> {
    form.uuid("device_id").map(DeviceId)
}

fn pin(form: &Form<'_>) -> Option<Pin> {
    form.text("code").and_then(Pin::parse)
}

fn text(form: &Form<'_>, name: &str) -> Option<String> {
    form.text(name).map(str::to_owned)
}

/// Nothing is drawn where the caller gives a PIN.
fn preferred_length(form: &Form<'_>, code: &Option<Pin>) -> Option<u8> {
    let length = form.whole("preferred_code_length").filter(|_| code.is_none())?;
    u8::try_from(length).ok()
}

/// Both times or none.
fn window(form: &mut Form<'_>) -> Option<Window> {
    match (form.time("starts_at"), form.time("ends_at")) {
        (Some(starts_at), Some(ends_at)) => {
            in_order(form, Some(starts_at), Some(ends_at));
            Window::between(starts_at, ends_at)
        }
        (None, None) => Some(Window::Ongoing),
        (starts_at, _) => {
            let missing = if starts_at.is_some() {
                "ends_at"
            } else {
                "starts_at"
            };
            form.wrong(missing, "starts_at and ends_at go together: give both or none");
            None
        }
    }
}

fn in_order(form: &mut Form<'_>, starts_at: Option<Timestamp>, ends_at: Option<Timestamp>) {
    if let (Some(starts_at), Some(ends_at)) = (starts_at, ends_at)
        && Window::between(starts_at, ends_at).is_none()
    {
        form.wrong("ends_at", "must be after starts_at");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FRONT: &str = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73";
    const BACK: &str = "d87eea5d-71c6-4633-a966-396c5ac51177";

    fn create(mut more: Value) -> Result<CreateMultiple, Refusal> {
        let mut body = json!({"device_ids": [FRONT, BACK]});
        let (all, more) = (body.as_object_mut().unwrap(), more.as_object_mut().unwrap());
        all.append(more);
        match parse(Verb::CreateMultiple, &body)? {
            Request::CreateMultiple(job) => Ok(job),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_request() {
        let job = create(json!({
            "name": "Jane's reservation",
            "starts_at": "2024-11-15T15:00:00Z", "ends_at": "2024-11-17T11:00:00Z",
            "preferred_code_length": 4, "unknown": {}, "code": null,
        }))
        .unwrap();
        assert_eq!(job.devices.len(), 2);
        assert_eq!(job.preferred_length, Some(4));
        assert_eq!(job.unshared, Unshared::Throw);
        assert!(job.attempt_offline && job.prefer_native && job.code.is_none());
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        for (more, field) in [
            (json!({"device_ids": []}), "device_ids"),
            (json!({"device_ids": null}), "device_ids"),
            (json!({"device_ids": FRONT}), "device_ids"),
            (json!({"device_ids": [FRONT, FRONT]}), "device_ids"),
            (json!({"device_ids": ["front"]}), "device_ids"),
            (json!({"device_ids": [1]}), "device_ids"),
            (json!({"code": "12ab"}), "code"),
            (json!({"code": "123"}), "code"),
            (json!({"code": "1234567890123"}), "code"),
            (json!({"code": "１２３４"}), "code"),
            (json!({"code": ""}), "code"),
            (json!({"code": 1234}), "code"),
            (json!({"preferred_code_length": "4"}), "preferred_code_length"),
            (json!({"preferred_code_length": 4.5}), "preferred_code_length"),
            (json!({"preferred_code_length": -4}), "preferred_code_length"),
            (json!({"preferred_code_length": 400}), "preferred_code_length"),
            (
                json!({"behavior_when_code_cannot_be_shared": "guess"}),
                "behavior_when_code_cannot_be_shared",
            ),
            (json!({"name": "a\nb"}), "name"),
            (json!({"name": "n".repeat(101)}), "name"),
            (json!({"name": 1}), "name"),
            (json!({"starts_at": "2030-01-01T00:00:00Z"}), "ends_at"),
            (json!({"ends_at": "2030-01-01T00:00:00Z"}), "starts_at"),
            (
                json!({"starts_at": "2030-01-01T00:00:00", "ends_at": "2030-01-02T00:00:00Z"}),
                "starts_at",
            ),
            (
                json!({"starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-02T00:00:00Z"}),
                "ends_at",
            ),
            (
                json!({"attempt_for_offline_device": "yes"}),
                "attempt_for_offline_device",
            ),
            (json!({"is_offline_access_code": true}), "is_offline_access_code"),
        ] {
            let refusal = create(more.clone()).expect_err("it is wrong");
            assert_eq!(refusal.reason, Reason::InvalidInput, "{more}");
            assert!(refusal.message.contains(field), "{more}: {}", refusal.message);
            assert!(
                refusal.fields.iter().any(|(name, _)| name == field),
                "{more}: {refusal:?}"
            );
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let refusal = create(json!({"code": "x", "name": 1, "starts_at": "now"})).unwrap_err();
        let named: Vec<_> = refusal.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["code", "name", "starts_at"]);
    }

    #[test]
    fn an_offline_code_is_refused_by_device() {
        let refusal = create(json!({"is_offline_access_code": true})).unwrap_err();
        assert_eq!(refusal.devices.len(), 2);
        assert!(refusal.devices[0].message.contains(FRONT));
    }

    #[test]
    fn update_and_delete_say_what_they_need() {
        for (verb, body, field) in [
            (Verb::UpdateMultiple, json!({}), "common_code_key"),
            (
                Verb::UpdateMultiple,
                json!({"common_code_key": ""}),
                "common_code_key",
            ),
            (Verb::Delete, json!({}), "access_code_id"),
            (Verb::Delete, json!({"access_code_id": "x"}), "access_code_id"),
        ] {
            let refusal = parse(verb, &body).unwrap_err();
            assert!(refusal.message.contains(field), "{}", refusal.message);
        }
        assert!(parse(Verb::Delete, &json!([])).is_err());
        let one_time = json!({"common_code_key": "k", "ends_at": "2030-01-01T00:00:00Z"});
        assert!(parse(Verb::UpdateMultiple, &one_time).is_ok());
    }

    #[test]
    fn an_update_says_what_becomes_of_the_times() {
        let update = |more: Value| {
            let mut body = json!({"access_code_id": FRONT, "code": null});
            body.as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            match parse(Verb::Update, &body)? {
                Request::Update(job) => Ok::<_, Refusal>(job.times),
                other => panic!("{other:?}"),
            }
        };
        let time = "2030-01-01T00:00:00Z";
        let bound = |starts_at, ends_at| NewTimes::Bound { starts_at, ends_at };
        let at = crate::api::time::parse(time).ok();
        for (more, times) in [
            (json!({}), NewTimes::Keep),
            (json!({"starts_at": null, "ends_at": null}), NewTimes::Keep),
            (json!({"ends_at": time}), bound(None, at)),
            (json!({"type": "time_bound"}), bound(None, None)),
            (
                json!({"type": "ongoing", "starts_at": null, "ends_at": null}),
                NewTimes::Ongoing,
            ),
        ] {
            assert_eq!(update(more.clone()), Ok(times), "{more}");
        }
        for (more, named) in [
            (json!({"type": "ongoing", "ends_at": time}), "ends_at"),
            (json!({"type": "sometimes"}), "type"),
            (json!({"is_managed": false}), "is_managed"),
            (json!({"is_one_time_use": true}), "is_one_time_use"),
        ] {
            let refusal = update(more.clone()).expect_err("it is wrong");
            assert!(refusal.message.contains(named), "{more}: {}", refusal.message);
        }
    }

    #[test]
    fn what_is_said_of_a_device() {
        let notes = json!({"floor": "2", "lift": true, "old": null});
        let body = json!({"device_id": FRONT, "properties": {"name": "Gate"}, "custom_metadata": notes});
        let Ok(Request::UpdateDevice(job)) = parse(Verb::UpdateDevice, &body) else {
            panic!("refused")
        };
        assert_eq!(job.name.as_deref(), Some("Gate"));
        assert_eq!(job.metadata.len(), 3);
        assert_eq!(job.metadata["old"], None);
        let of = |more: Value, verb| {
            let mut body = json!({"device_id": FRONT});
            body.as_object_mut()
                .unwrap()
                .append(&mut more.as_object().unwrap().clone());
            parse(verb, &body)
        };
        let long = "x".repeat(501);
        for more in [
            json!({"custom_metadata": {"n".repeat(41): true}}),
            json!({"custom_metadata": {"note": long}}),
            json!({"custom_metadata": {"note": 7}}),
            json!({"properties": {"name": 7}}),
            json!({"is_managed": false}),
            json!({"backup_access_code_pool_enabled": true}),
        ] {
            assert!(of(more.clone(), Verb::UpdateDevice).is_err(), "{more}");
        }
        let report = |more: Value| match of(more, Verb::ReportConstraints)? {
            Request::ReportConstraints(job) => Ok::<_, Refusal>(job.lengths.into_iter().collect::<Vec<u8>>()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            report(json!({"supported_code_lengths": [6, 4, 6]})),
            Ok(vec![4, 6])
        );
        assert_eq!(
            report(json!({"min_code_length": 4, "max_code_length": 6})),
            Ok(vec![4, 5, 6])
        );
        for more in [
            json!({}),
            json!({"supported_code_lengths": []}),
            json!({"supported_code_lengths": [3]}),
            json!({"supported_code_lengths": [4], "min_code_length": 4, "max_code_length": 5}),
            json!({"min_code_length": 4}),
            json!({"min_code_length": 6, "max_code_length": 5}),
            json!({"min_code_length": 4, "max_code_length": 21}),
        ] {
            assert!(report(more.clone()).is_err(), "{more}");
        }
    }

    #[test]
    fn the_hash_is_of_what_is_asked() {
        let of = |text: &str| hash(Verb::Delete, &serde_json::from_str(text).unwrap());
        let same = of(r#"{"a":{"x":1,"y":2},"b":null,"job_id":"j1"}"#);
        assert_eq!(same, of(r#"{"job_id":"j2","progress":true,"a":{"y":2,"x":1}}"#));
        assert_ne!(same, of(r#"{"a":{"x":1,"y":3}}"#));
        assert_ne!(of(r#"{"a":["bc"]}"#), of(r#"{"a":["b","c"]}"#));
        assert_ne!(of("{}"), hash(Verb::UpdateMultiple, &json!({})));
    }
}
