//! Commands in: what a message on `cmd/<verb>` asks for.
//!
//! Everything that names its job is the core's to judge, so that a refusal is on record under
//! that id as an answer is, and comes again for the same message. What cannot be put on record is
//! refused here. No message is so wrong that it is not acknowledged: it would come back for ever.

use serde_json::{Value, json};

use super::link::Delivery;
use super::topic::{Inward, Topic, Tree, VERBS, VERIFY};
use crate::api::form::Form;
use crate::api::parameter::{Effect, Kind, Parameter};
use crate::api::request;
use crate::gateway::{Door, ReplyTo, Verb};
use crate::model::{Caller, Deed, DeviceId, DoorCommand, JobId, Reason, Refusal, Request};
use crate::shell::Incoming;

/// Longest correlation data that is echoed: it is stored with the answer. Callers send a counter
/// or a UUID.
const LONGEST_CORRELATION: usize = 256;

/// Who asks over MQTT: the broker knows who that is, and we do not.
const CALLER: &str = "mqtt";

const REPLY_TO: Parameter = Parameter {
    name: "reply_to",
    kind: Kind::TEXT,
    required: false,
    effect: Effect::Heeded,
    about: "Where the answer goes, for clients that cannot set a response topic.",
};

/// What says how a command travels, beside what it asks for.
const ENVELOPE: &[Parameter] = &[
    Parameter {
        name: "job_id",
        kind: Kind::TEXT,
        required: true,
        effect: Effect::Heeded,
        about: "The caller's own id of the job.",
    },
    REPLY_TO,
    Parameter {
        name: "progress",
        kind: Kind::Flag,
        required: false,
        effect: Effect::Heeded,
        about: "An answer at every phase, not only the first.",
    },
];

/// What a check of codes takes.
const CHECK: &[Parameter] = &[
    Parameter {
        name: "device_id",
        kind: Kind::Uuid,
        required: false,
        effect: Effect::Heeded,
        about: "The device whose codes are checked; without it, all.",
    },
    Parameter {
        name: "job_id",
        kind: Kind::TEXT,
        required: false,
        effect: Effect::Heeded,
        about: "Comes back in the answer.",
    },
    REPLY_TO,
];

/// What a message comes to. No `Debug`: it may hold a PIN.
pub enum Command {
    /// Nothing: it is the empty message that takes a retained one away.
    Nothing,
    /// A request for the core, be it only to be refused.
    Ask(Incoming),
    /// The codes of a device, or of all, are to be checked.
    Verify {
        /// Which device.
        device: Option<DeviceId>,
        /// What is told once that is under way.
        answer: Aside,
    },
    /// Nothing that could be put on record.
    Refuse(Aside),
}

/// An answer that no job carries.
pub struct Aside {
    /// The id that the caller gave, if it is one.
    pub job: Option<JobId>,
    /// Where the answer goes, if anywhere.
    pub to: Option<ReplyTo>,
    /// What it is.
    pub told: Result<(), Refusal>,
}

/// A word on a device's own topic, as Home Assistant sends them: `LOCK` or `UNLOCK`. Nobody is
/// answered, as nobody says where; what comes of it is seen in the device's state and events.
pub fn word(payload: &[u8], device: DeviceId) -> Option<Incoming> {
    let (verb, deed) = match payload {
        b"LOCK" => (Verb::LockDoor, Deed::Lock),
        b"UNLOCK" => (Verb::UnlockDoor, Deed::Unlock),
        _ => return None,
    };
    Some(Incoming {
        caller: Caller(CALLER.into()),
        verb,
        door: Door::Http { handle: None },
        hash: request::hash(verb, &json!({ "device_id": device })),
        request: Ok(Request::Door(DoorCommand { device, deed })),
    })
}

/// Reads a message on a topic of commands.
pub fn read(delivery: &Delivery, tree: &Tree, inward: Inward) -> Command {
    if delivery.payload.is_empty() {
        return Command::Nothing;
    }
    let response = delivery.response_topic.as_deref();
    // Without the parser's own words: they may quote what they could not read.
    let body: Value = match serde_json::from_slice(&delivery.payload) {
        Ok(body) => body,
        Err(_) => {
            let refusal = Refusal::new(Reason::InvalidJson, "the message is not JSON");
            return stray(None, reply(delivery, tree, response), refusal);
        }
    };
    let takes = match inward {
        Inward::Verify => CHECK,
        _ => ENVELOPE,
    };
    let mut form = match Form::open(takes, &body) {
        Ok(form) => form,
        Err(refusal) => return stray(None, reply(delivery, tree, response), refusal),
    };
    let reply_to = form.text("reply_to");
    let to = reply(delivery, tree, response.or(reply_to));
    let job = form.text("job_id");
    let parsed = job.and_then(JobId::parse);
    if job.is_some() && parsed.is_none() {
        form.wrong("job_id", "must be 1 to 64 of A to Z, a to z, 0 to 9, _ and -");
    }
    if inward == Inward::Verify {
        let device = form.uuid("device_id").map(DeviceId);
        let (to, allowed) = split(to);
        let told = not_retained(delivery).and(allowed).and_then(|()| form.close());
        let answer = Aside {
            job: parsed,
            to,
            told,
        };
        return match answer.told {
            Ok(()) => Command::Verify { device, answer },
            Err(_) => Command::Refuse(answer),
        };
    }
    let Some(job) = parsed else {
        let refusal = form.close().err();
        return stray(
            None,
            to,
            refusal.unwrap_or_else(|| Refusal::invalid("job_id", "is wrong")),
        );
    };
    let Inward::Command(verb) = inward else {
        let known = VERBS.map(Verb::word).join(", ");
        let refusal = Refusal::new(
            Reason::NotFound,
            format!("there is no such command; there are {known}, {VERIFY}"),
        );
        return stray(Some(job), to, refusal);
    };
    let progress = form.flag("progress").unwrap_or(false);
    let (reply, allowed) = split(to);
    let request = not_retained(delivery)
        .and(allowed)
        .and_then(|()| form.close())
        .and_then(|()| request::parse(verb, &body));
    Command::Ask(Incoming {
        caller: Caller(CALLER.into()),
        verb,
        door: Door::Mqtt { job, reply, progress },
        hash: request::hash(verb, &body),
        request,
    })
}

/// Where an answer may go, and whether it may go where it was wanted.
fn split(to: Result<Option<ReplyTo>, Refusal>) -> (Option<ReplyTo>, Result<(), Refusal>) {
    match to {
        Ok(to) => (to, Ok(())),
        Err(refusal) => (None, Err(refusal)),
    }
}

fn stray(job: Option<JobId>, to: Result<Option<ReplyTo>, Refusal>, refusal: Refusal) -> Command {
    Command::Refuse(Aside {
        job,
        to: to.unwrap_or_default(),
        told: Err(refusal),
    })
}

/// A command that the broker keeps would be done again at every connection.
fn not_retained(delivery: &Delivery) -> Result<(), Refusal> {
    match delivery.retained {
        true => Err(Refusal::new(
            Reason::RetainedCommand,
            "a command must not be retained; it was cleared and not carried out",
        )),
        false => Ok(()),
    }
}

/// Where the answer goes. A caller must not make us write just anywhere.
fn reply(delivery: &Delivery, tree: &Tree, wish: Option<&str>) -> Result<Option<ReplyTo>, Refusal> {
    let refuse = |why: &str| Err(Refusal::new(Reason::ReplyNotAllowed, why));
    let Some(wish) = wish else {
        return Ok(None);
    };
    let Some(topic) = tree.reply(wish) else {
        return refuse("the answer may not be sent to this topic");
    };
    let correlation = delivery.correlation.clone();
    if correlation
        .as_ref()
        .is_some_and(|data| data.len() > LONGEST_CORRELATION)
    {
        return refuse("the correlation data is longer than 256 bytes");
    }
    Ok(Some(ReplyTo {
        topic: Topic::into_string(topic),
        correlation,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::link::Receipt;

    const MINE: &str = "lockbridge/villa/reply/me";

    fn tree() -> Tree {
        Tree::new("villa", "gw1", "lockbridge/villa/reply/", "homeassistant")
    }

    fn delivery(verb: &str, payload: &str) -> Delivery {
        Delivery {
            receipt: Receipt { epoch: 1, packet: 1 },
            topic: format!("lockbridge/villa/gw1/cmd/{verb}"),
            payload: payload.into(),
            retained: false,
            now: false,
            response_topic: None,
            correlation: Some(vec![7]),
            expiry: None,
        }
    }

    fn read(delivery: &Delivery) -> Command {
        super::read(delivery, &tree(), tree().inward(&delivery.topic))
    }

    fn asked(delivery: &Delivery) -> (Incoming, Option<Reason>) {
        match read(delivery) {
            Command::Ask(incoming) => {
                let reason = incoming.request.as_ref().err().map(|refusal| refusal.reason);
                (incoming, reason)
            }
            _ => panic!("not for the core"),
        }
    }

    fn refused(delivery: &Delivery) -> (Aside, Refusal) {
        match read(delivery) {
            Command::Refuse(mut aside) => {
                let refusal = std::mem::replace(&mut aside.told, Ok(())).unwrap_err();
                (aside, refusal)
            }
            _ => panic!("not refused"),
        }
    }

    const DELETE: &str =
        r#"{"job_id":"j1","access_code_id":"8e94044d-a4d1-4691-9f7e-e97d3e8a0b73","progress":true}"#;

    #[test]
    fn a_command_with_all_that_travels_with_it() {
        let with = Delivery {
            response_topic: Some(MINE.into()),
            ..delivery("delete", DELETE)
        };
        let (incoming, None) = asked(&with) else {
            panic!("refused")
        };
        let Door::Mqtt { job, reply, progress } = incoming.door else {
            panic!("another door")
        };
        assert_eq!((job.as_str(), progress), ("j1", true));
        let reply = reply.expect("wanted");
        assert_eq!((reply.topic.as_str(), reply.correlation), (MINE, Some(vec![7])));
    }

    #[test]
    fn codes_are_changed_here_and_doors_are_not() {
        const DOOR: &str = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73";
        let create = format!(r#"{{"job_id":"j1","device_id":"{DOOR}"}}"#);
        let update = format!(r#"{{"job_id":"j1","access_code_id":"{DOOR}","type":"ongoing"}}"#);
        for (verb, body) in [("create", &create), ("update", &update)] {
            let (incoming, refused) = asked(&delivery(verb, body));
            assert_eq!((incoming.verb.word(), refused), (verb, None));
        }
        assert_eq!(
            asked(&delivery("create", DELETE)).1,
            Some(Reason::InvalidInput),
            "it says no device"
        );
        let (_, refusal) = refused(&delivery("unlock_door", &create));
        assert_eq!(refusal.reason, Reason::NotFound);
        assert!(refusal.message.contains("create, create_multiple, update"));
    }

    #[test]
    fn a_check_needs_no_id_and_takes_one() {
        const DOOR: &str = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73";
        for (body, all, job) in [
            ("{}".to_owned(), true, None),
            (format!(r#"{{"device_id":"{DOOR}"}}"#), false, None),
            (r#"{"job_id":"j1"}"#.to_owned(), true, Some("j1")),
        ] {
            let Command::Verify { device, answer } = read(&delivery("verify", &body)) else {
                panic!("{body}")
            };
            assert_eq!(
                (device.is_none(), answer.job.as_ref().map(JobId::as_str)),
                (all, job),
                "{body}"
            );
        }
        let kept = Delivery {
            retained: true,
            ..delivery("verify", "{}")
        };
        assert_eq!(refused(&kept).1.reason, Reason::RetainedCommand);
        let (_, refusal) = refused(&delivery("verify", r#"{"device_id":"front"}"#));
        assert_eq!(refusal.reason, Reason::InvalidInput);
    }

    #[test]
    fn the_response_topic_comes_before_reply_to_and_either_must_be_allowed() {
        let body = |reply: &str| DELETE.replace('{', &format!(r#"{{"reply_to":{reply},"#));
        let twin = delivery("delete", &body(&format!("\"{MINE}\"")));
        let (incoming, None) = asked(&twin) else {
            panic!("refused")
        };
        assert!(matches!(incoming.door, Door::Mqtt { reply: Some(to), .. } if to.topic == MINE));
        for (reply_to, reason) in [
            ("\"elsewhere\"", Reason::ReplyNotAllowed),
            ("\"lockbridge/villa/reply/#\"", Reason::ReplyNotAllowed),
            ("7", Reason::InvalidInput),
        ] {
            let (incoming, refused) = asked(&delivery("delete", &body(reply_to)));
            assert_eq!(refused, Some(reason), "{reply_to}");
            assert!(
                matches!(incoming.door, Door::Mqtt { reply: None, .. }),
                "{reply_to}"
            );
        }
        let long = Delivery {
            response_topic: Some(MINE.into()),
            correlation: Some(vec![0; 257]),
            ..delivery("delete", DELETE)
        };
        assert_eq!(asked(&long).1, Some(Reason::ReplyNotAllowed));
    }

    #[test]
    fn a_retained_command_is_on_record_as_refused() {
        let kept = Delivery {
            retained: true,
            ..delivery("delete", DELETE)
        };
        assert_eq!(asked(&kept).1, Some(Reason::RetainedCommand));
        let cleared = Delivery {
            retained: true,
            ..delivery("delete", "")
        };
        assert!(matches!(read(&cleared), Command::Nothing));
    }

    #[test]
    fn what_names_no_job_is_refused_here() {
        for (payload, reason) in [
            ("{", Reason::InvalidJson),
            ("\u{feff}{}", Reason::InvalidJson),
            ("[]", Reason::InvalidInput),
            ("{}", Reason::InvalidInput),
            (r#"{"job_id":7}"#, Reason::InvalidInput),
            (r#"{"job_id":""}"#, Reason::InvalidInput),
            (r#"{"job_id":"a/b"}"#, Reason::InvalidInput),
            (r##"{"job_id":"#"}"##, Reason::InvalidInput),
        ] {
            let message = Delivery {
                response_topic: Some(MINE.into()),
                ..delivery("create_multiple", payload)
            };
            let (aside, refusal) = refused(&message);
            assert_eq!(refusal.reason, reason, "{payload}");
            assert!(aside.job.is_none() && aside.to.is_some(), "{payload}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(refused(&delivery("delete", &deep)).1.reason, Reason::InvalidJson);
        assert_eq!(refused(&delivery("delet", DELETE)).1.reason, Reason::NotFound);
    }
}
