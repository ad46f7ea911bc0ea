//! What callers send, read strictly.
//!
//! Every parameter that is wrong is named, all at once. An explicit `null` is the same as leaving
//! the parameter out (Seam's Node SDK sends nulls), and parameters that nobody knows are ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::time;
use crate::gateway::Verb;
use crate::model::{
    CodeId, CreateMultiple, Delete, DeviceId, DeviceReason, GroupKey, Pin, Reason, Refusal, Request,
    Timestamp, Unshared, UpdateMultiple, Window,
};

/// Lengths of a PIN that Seam's schema knows.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=12;
/// Characters of a name; Seam states no bound, locks store far fewer.
const LONGEST_NAME: usize = 100;
/// Parameters that say how a request travels, not what it asks for.
const ENVELOPE: [&str; 5] = ["job_id", "reply_to", "progress", "_strict", "sync"];

/// Reads the body of a request.
///
/// # Errors
/// `invalid_input`, with what is wrong with each parameter.
pub fn parse(verb: Verb, body: &Value) -> Result<Request, Refusal> {
    let mut form = Form::open(body)?;
    match verb {
        Verb::CreateMultiple => create_multiple(&mut form)?.map(Request::CreateMultiple),
        Verb::UpdateMultiple => update_multiple(&mut form).map(Request::UpdateMultiple),
        Verb::Delete => delete(&mut form).map(Request::Delete),
        Verb::Create
        | Verb::Update
        | Verb::UpdateDevice
        | Verb::ReportConstraints
        | Verb::LockDoor
        | Verb::UnlockDoor => None,
    }
    .filter(|_| form.problems.is_empty())
    .ok_or_else(|| form.refusal())
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

fn create_multiple(form: &mut Form<'_>) -> Result<Option<CreateMultiple>, Refusal> {
    let devices = form.device_ids();
    let code = form.code();
    let preferred_length = form.length("preferred_code_length");
    let unshared = match form.text("behavior_when_code_cannot_be_shared") {
        None | Some("throw") => Unshared::Throw,
        Some("create_random_code") => Unshared::CreateRandomCode,
        Some(_) => {
            form.wrong(
                "behavior_when_code_cannot_be_shared",
                "must be `throw` or `create_random_code`",
            );
            Unshared::Throw
        }
    };
    let name = form.name();
    let window = form.window();
    let attempt_offline = form.flag("attempt_for_offline_device").unwrap_or(true);
    let prefer_native = form.flag("prefer_native_scheduling").unwrap_or(true);
    let offline_code = form.flag("is_offline_access_code").unwrap_or(false);
    if offline_code && let Some(devices) = &devices {
        return Err(no_offline_codes(devices));
    }
    let (Some(devices), Some(window)) = (devices, window) else {
        return Ok(None);
    };
    Ok(Some(CreateMultiple {
        devices,
        code,
        preferred_length,
        unshared,
        name,
        window,
        attempt_offline,
        prefer_native,
    }))
}

/// Codes that a lock computes by itself are another thing than codes that are put onto it.
fn no_offline_codes(devices: &[DeviceId]) -> Refusal {
    let reasons: Vec<DeviceReason> = devices
        .iter()
        .map(|device| DeviceReason {
            device: *device,
            reason: Reason::InvalidInput,
            message: format!("{device} cannot make offline access codes"),
        })
        .collect();
    let message = "is_offline_access_code: the devices of this gateway cannot make offline access codes";
    let mut refusal = Refusal::by_devices(Reason::InvalidInput, message, reasons);
    let named = devices.iter().map(DeviceId::to_string).collect::<Vec<_>>();
    refusal.fields.push((
        "is_offline_access_code".to_owned(),
        format!("not possible on {}", named.join(", ")),
    ));
    refusal
}

fn update_multiple(form: &mut Form<'_>) -> Option<UpdateMultiple> {
    let key = form.text("common_code_key");
    match key {
        None => form.required("common_code_key"),
        Some("") => form.wrong("common_code_key", "must not be empty"),
        Some(_) => {}
    }
    let (starts_at, ends_at) = (form.time("starts_at"), form.time("ends_at"));
    form.in_order(starts_at, ends_at);
    let name = form.name();
    Some(UpdateMultiple {
        key: GroupKey(key?.to_owned()),
        starts_at,
        ends_at,
        name,
    })
}

fn delete(form: &mut Form<'_>) -> Option<Delete> {
    let code = form.uuid("access_code_id");
    if code.is_none() {
        form.required("access_code_id");
    }
    let device = form.uuid("device_id").map(DeviceId);
    Some(Delete {
        code: CodeId(code?),
        device,
    })
}

/// The parameters of a request, and what was found wrong with them so far.
pub struct Form<'a> {
    body: &'a Map<String, Value>,
    problems: Vec<(String, String)>,
}

impl<'a> Form<'a> {
    /// Begins to read a body.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn open(body: &'a Value) -> Result<Form<'a>, Refusal> {
        let body = body
            .as_object()
            .ok_or_else(|| Refusal::new(Reason::InvalidInput, "the parameters must be one JSON object"))?;
        Ok(Form {
            body,
            problems: Vec::new(),
        })
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `invalid_input`, if anything was found wrong.
    pub fn close(self) -> Result<(), Refusal> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(self.refusal()),
        }
    }

    fn refusal(self) -> Refusal {
        let told: Vec<String> = self
            .problems
            .iter()
            .map(|(name, problem)| format!("{name}: {problem}"))
            .collect();
        let mut refusal = Refusal::new(Reason::InvalidInput, told.join("; "));
        refusal.fields = self.problems;
        refusal
    }

    /// Notes what is wrong with a parameter; the first note about it stays.
    pub fn wrong(&mut self, name: &str, problem: impl Into<String>) {
        if !self.problems.iter().any(|(noted, _)| noted == name) {
            self.problems.push((name.to_owned(), problem.into()));
        }
    }

    /// Notes that a parameter is missing, unless it is noted as wrong already.
    pub fn required(&mut self, name: &str) {
        self.wrong(name, "is required");
    }

    fn given(&self, name: &str) -> Option<&'a Value> {
        self.body.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.given(name)?;
        if value.as_str().is_none() {
            self.wrong(name, "must be a string");
        }
        value.as_str()
    }

    /// A truth value.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.given(name)?;
        if value.as_bool().is_none() {
            self.wrong(name, "must be true or false");
        }
        value.as_bool()
    }

    /// A whole number that is not negative.
    pub fn whole(&mut self, name: &str) -> Option<u64> {
        let value = self.given(name)?;
        // 4.0 is the same number as 4 to callers whose language knows one kind of number only.
        let whole = value.as_u64().or_else(|| {
            let number = value
                .as_f64()
                .filter(|n| n.fract() == 0.0 && (0.0..1e9).contains(n))?;
            format!("{number:.0}").parse().ok()
        });
        if whole.is_none() {
            self.wrong(name, "must be a whole number");
        }
        whole
    }

    /// A UUID.
    pub fn uuid(&mut self, name: &str) -> Option<Uuid> {
        let text = self.text(name)?;
        let id = Uuid::try_parse(text).ok();
        if id.is_none() {
            self.wrong(name, "must be a UUID");
        }
        id
    }

    /// A list of UUIDs.
    pub fn uuids(&mut self, name: &str) -> Option<Vec<Uuid>> {
        let value = self.given(name)?;
        let Some(items) = value.as_array() else {
            self.wrong(name, "must be a list of UUIDs");
            return None;
        };
        let mut ids = Vec::with_capacity(items.len());
        for item in items {
            match item.as_str().and_then(|text| Uuid::try_parse(text).ok()) {
                Some(id) => ids.push(id),
                None => {
                    self.wrong(name, format!("must be a list of UUIDs, and {item} is none"));
                    return None;
                }
            }
        }
        Some(ids)
    }

    /// A date and time with its offset.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        match time::parse(text) {
            Ok(at) => Some(at),
            Err(problem) => {
                self.wrong(name, problem);
                None
            }
        }
    }

    fn device_ids(&mut self) -> Option<Vec<DeviceId>> {
        const NAME: &str = "device_ids";
        let Some(ids) = self.uuids(NAME) else {
            self.required(NAME);
            return None;
        };
        if ids.is_empty() {
            self.wrong(NAME, "must name at least one device");
        }
        if let Some(twice) = (1..ids.len()).find(|n| ids[..*n].contains(&ids[*n])) {
            self.wrong(NAME, format!("{} is named more than once", ids[twice]));
        }
        Some(ids.into_iter().map(DeviceId).collect())
    }

    fn code(&mut self) -> Option<Pin> {
        const NAME: &str = "code";
        let text = self.text(NAME)?;
        let pin = Pin::parse(text).filter(|_| LENGTHS.contains(&text.len()));
        if pin.is_none() {
            // Not the code itself: what goes to logs holds no PIN.
            self.wrong(NAME, "must be 4 to 12 digits and nothing else");
        }
        pin
    }

    fn length(&mut self, name: &str) -> Option<u8> {
        let whole = self.whole(name)?;
        let length = u8::try_from(whole)
            .ok()
            .filter(|n| LENGTHS.contains(&usize::from(*n)));
        if length.is_none() {
            self.wrong(name, "must be a number from 4 to 12");
        }
        length
    }

    fn name(&mut self) -> Option<String> {
        const NAME: &str = "name";
        let text = self.text(NAME)?;
        if text.chars().count() > LONGEST_NAME {
            self.wrong(NAME, format!("must have at most {LONGEST_NAME} characters"));
        }
        if text.chars().any(char::is_control) {
            self.wrong(NAME, "must hold no control characters");
        }
        Some(text.to_owned())
    }

    /// Both times or none.
    fn window(&mut self) -> Option<Window> {
        match (self.time("starts_at"), self.time("ends_at")) {
            (Some(starts_at), Some(ends_at)) => {
                self.in_order(Some(starts_at), Some(ends_at));
                Window::between(starts_at, ends_at)
            }
            (None, None) => Some(Window::Ongoing),
            (starts_at, _) => {
                let missing = if starts_at.is_some() {
                    "ends_at"
                } else {
                    "starts_at"
                };
                self.wrong(missing, "starts_at and ends_at go together: give both or none");
                None
            }
        }
    }

    fn in_order(&mut self, starts_at: Option<Timestamp>, ends_at: Option<Timestamp>) {
        if let (Some(starts_at), Some(ends_at)) = (starts_at, ends_at)
            && Window::between(starts_at, ends_at).is_none()
        {
            self.wrong("ends_at", "must be after starts_at");
        }
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
    fn the_hash_is_of_what_is_asked() {
        let of = |text: &str| hash(Verb::Delete, &serde_json::from_str(text).unwrap());
        let same = of(r#"{"a":{"x":1,"y":2},"b":null,"job_id":"j1"}"#);
        assert_eq!(same, of(r#"{"job_id":"j2","progress":true,"a":{"y":2,"x":1}}"#));
        assert_ne!(same, of(r#"{"a":{"x":1,"y":3}}"#));
        assert_ne!(of(r#"{"a":["bc"]}"#), of(r#"{"a":["b","c"]}"#));
        assert_ne!(of("{}"), hash(Verb::UpdateMultiple, &json!({})));
    }
}
