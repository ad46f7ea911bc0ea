//! Topics: the one place that says which may be published to, and where everything of ours stands.

use std::fmt;

use uuid::Uuid;

use crate::gateway::Verb;
use crate::model::{DeviceId, GroupKey, JobId};

/// Levels that a topic may have: what dashboards and access lists cope with.
const LEVELS: usize = 6;
/// Longest topic in bytes. MQTT would allow 65,535, and every answer would carry it.
const LONGEST: usize = 512;

/// What can be asked for over MQTT: all that is to be done with access codes.
pub const VERBS: [Verb; 5] = [
    Verb::Create,
    Verb::CreateMultiple,
    Verb::Update,
    Verb::UpdateMultiple,
    Verb::Delete,
];

/// A topic that may be published to: no wildcard, no NUL, at most six levels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic(String);

impl Topic {
    /// Checks the form; `None` if it may not be published to.
    #[must_use]
    pub fn parse(text: &str) -> Option<Topic> {
        let fits = (1..=LONGEST).contains(&text.len())
            && !text.contains(['+', '#', '\0'])
            && text.split('/').count() <= LEVELS;
        fits.then(|| Topic(text.to_owned()))
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic as text of its own.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where everything of this gateway stands.
///
/// | topic below `lockbridge/<site>/<gateway>/` | direction | retained |
/// | --- | --- | --- |
/// | `status` | out | yes, also the will |
/// | `info` | out | yes |
/// | `cmd/<verb>` | in | must not be |
/// | `job/<job_id>` | out | yes, for 24 h after its end |
/// | `group/<UUIDv5 of the key>` | out | yes |
/// | `device/<device_id>/status`, `device/<device_id>/state` | out | yes |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    base: String,
    replies: String,
}

impl Tree {
    /// The tree of a gateway. The names, and the prefix that answers go below, come from a
    /// configuration that was checked: each name is one level, and the prefix ends with `/`.
    #[must_use]
    pub fn new(site: &str, gateway: &str, replies: &str) -> Tree {
        Tree {
            base: format!("lockbridge/{site}/{gateway}"),
            replies: replies.to_owned(),
        }
    }

    /// A topic of ours. Every name below is an id of a form that a topic can carry, so that this
    /// keeps what [`Topic::parse`] asks for.
    fn ours(&self, rest: fmt::Arguments<'_>) -> Topic {
        Topic(format!("{}/{rest}", self.base))
    }

    /// `online` or `offline`.
    #[must_use]
    pub fn status(&self) -> Topic {
        self.ours(format_args!("status"))
    }

    /// What this gateway is.
    #[must_use]
    pub fn info(&self) -> Topic {
        self.ours(format_args!("info"))
    }

    /// How far a job is.
    #[must_use]
    pub fn job(&self, job: &JobId) -> Topic {
        self.ours(format_args!("job/{job}"))
    }

    /// The receipt of a group. Its key may hold anything, so its level is the UUIDv5 of the key
    /// in the namespace for object ids.
    #[must_use]
    pub fn group(&self, key: &GroupKey) -> Topic {
        let level = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.0.as_bytes());
        self.ours(format_args!("group/{level}"))
    }

    /// `online` or `offline`, for a device.
    #[must_use]
    pub fn device_status(&self, device: DeviceId) -> Topic {
        self.ours(format_args!("device/{device}/status"))
    }

    /// How a device is.
    #[must_use]
    pub fn device_state(&self, device: DeviceId) -> Topic {
        self.ours(format_args!("device/{device}/state"))
    }

    /// The filter for commands: all of them, so that a misspelt one is answered too.
    #[must_use]
    pub fn commands(&self) -> String {
        format!("{}/cmd/+", self.base)
    }

    /// What a command asks for; `None` for an unknown word.
    #[must_use]
    pub fn verb(&self, topic: &str) -> Option<Verb> {
        let word = topic.strip_prefix(&self.base)?.strip_prefix("/cmd/")?;
        VERBS.into_iter().find(|verb| verb.word() == word)
    }

    /// A topic that a caller wants its answer on; `None` if answers may not go there.
    #[must_use]
    pub fn reply(&self, wish: &str) -> Option<Topic> {
        let below = wish.strip_prefix(&self.replies)?;
        Topic::parse(wish).filter(|_| !below.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::new("villa-7", "gw1", "lockbridge/villa-7/reply/")
    }

    #[test]
    fn a_topic_has_no_wildcard_no_nul_and_six_levels() {
        assert!(Topic::parse("a/b/c/d/e/f").is_some());
        let long = "a".repeat(600);
        for bad in ["", "a/+/b", "a/#", "#", "a\0b", "a/b/c/d/e/f/g", &long] {
            assert_eq!(Topic::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn answers_go_below_the_prefix_only() {
        let ours = tree();
        assert!(ours.reply("lockbridge/villa-7/reply/cloud").is_some());
        for bad in [
            "lockbridge/villa-7/reply/",
            "lockbridge/villa-7/reply",
            "lockbridge/villa-7/replying/cloud",
            "lockbridge/villa-7/reply/+",
            "lockbridge/villa-7/gw1/cmd/delete",
            "elsewhere",
        ] {
            assert_eq!(ours.reply(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_topic_of_ours_keeps_the_rule() {
        let ours = tree();
        let device = DeviceId(Uuid::NAMESPACE_DNS);
        let job = JobId::parse(&"j".repeat(64)).expect("the longest");
        let key = GroupKey("a key/with #, + and more".into());
        for topic in [
            ours.status(),
            ours.info(),
            ours.job(&job),
            ours.group(&key),
            ours.device_status(device),
            ours.device_state(device),
        ] {
            assert_eq!(Topic::parse(topic.as_str()).as_ref(), Some(&topic));
        }
    }

    #[test]
    fn verbs() {
        let ours = tree();
        let verb = |word| ours.verb(&format!("lockbridge/villa-7/gw1/cmd/{word}"));
        assert_eq!(verb("delete"), Some(Verb::Delete));
        assert_eq!(verb("create_multiple"), Some(Verb::CreateMultiple));
        assert_eq!(verb("update"), Some(Verb::Update));
        assert_eq!(verb("creat_multiple"), None);
        assert_eq!(verb("unlock_door"), None);
        assert_eq!(ours.verb("lockbridge/villa-7/gw2/cmd/delete"), None);
    }
}
