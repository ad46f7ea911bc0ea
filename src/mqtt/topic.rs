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

/// The command that checks codes and changes none.
pub const VERIFY: &str = "verify";

/// What a message that came to us is, by its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inward {
    /// A job.
    Command(Verb),
    /// Somebody wants codes checked.
    Verify,
    /// A command that there is not.
    NoCommand,
    /// A word to a device.
    Word(DeviceId),
    /// What a gateway of this name says of itself.
    Info,
    /// Home Assistant comes up, or goes.
    Birth,
    /// Something else of ours that the broker keeps.
    Kept,
    /// None of it.
    Other,
}

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
/// | `info`, `summary` | out | yes |
/// | `cmd/<verb>` | in | must not be |
/// | `job/<job_id>` | out | yes, for 24 h after its end |
/// | `group/<UUIDv5 of the key>` | out | yes |
/// | `device/<device_id>/status`, `device/<device_id>/state` | out | yes |
/// | `device/<device_id>/event` | out | no |
/// | `device/<device_id>/set` | in | must not be |
/// | `event` | out | no |
///
/// What Home Assistant is told of it stands elsewhere: see [`Tree::discovery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    base: String,
    node: String,
    replies: String,
    home: String,
}

impl Tree {
    /// The tree of a gateway. The names, and the prefix that answers go below, come from a
    /// configuration that was checked: each name is one level, and the prefix ends with `/`. `home` is
    /// where Home Assistant looks for devices: one or two levels.
    #[must_use]
    pub fn new(site: &str, gateway: &str, replies: &str, home: &str) -> Tree {
        Tree {
            base: format!("lockbridge/{site}/{gateway}"),
            node: format!("lockbridge-{site}-ID-{gateway}"),
            replies: replies.to_owned(),
            home: home.to_owned(),
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

    /// How much there is of everything.
    #[must_use]
    pub fn summary(&self) -> Topic {
        self.ours(format_args!("summary"))
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
        self.ours(format_args!("group/{}", Self::group_level(key)))
    }

    /// The last level of the topic of a group.
    #[must_use]
    pub fn group_level(key: &GroupKey) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, key.0.as_bytes())
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

    /// What happens, on a device or elsewhere.
    #[must_use]
    pub fn event(&self, device: Option<DeviceId>) -> Topic {
        match device {
            Some(device) => self.ours(format_args!("device/{device}/event")),
            None => self.ours(format_args!("event")),
        }
    }

    /// Where words to a device go.
    #[must_use]
    pub fn word(&self, device: DeviceId) -> Topic {
        self.ours(format_args!("device/{device}/set"))
    }

    /// Where somebody has codes checked.
    #[must_use]
    pub fn verify(&self) -> Topic {
        self.ours(format_args!("cmd/{VERIFY}"))
    }

    /// This gateway in one word that no other has, as Home Assistant takes it for a level: letters, digits, `-` and
    /// `_`. Names have no capitals, so that the two can be told apart.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The same for people.
    #[must_use]
    pub fn title(&self) -> String {
        self.base.replace('/', " ")
    }

    /// Where Home Assistant is told of something of ours: six levels at most.
    #[must_use]
    pub fn discovery(&self, platform: &str, object: &str) -> Topic {
        Topic(format!("{}/{platform}/{}/{object}/config", self.home, self.node))
    }

    /// Where Home Assistant says that it has come up.
    #[must_use]
    pub fn birth(&self) -> String {
        format!("{}/status", self.home)
    }

    /// The filter for commands: all of them, so that a misspelt one is answered too.
    #[must_use]
    pub fn commands(&self) -> String {
        format!("{}/cmd/+", self.base)
    }

    /// The filter for words to devices.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{}/device/+/set", self.base)
    }

    /// The filters for what the broker keeps below our name: first who we are, then everything that
    /// may be left behind when what it showed is gone, in any form that Home Assistant was ever told it.
    #[must_use]
    pub fn kept(&self) -> [String; 6] {
        let [info, job, group, status, state] =
            ["info", "job/+", "group/+", "device/+/status", "device/+/state"]
                .map(|rest| format!("{}/{rest}", self.base));
        let told = format!("{}/+/{}/+/config", self.home, self.node);
        [info, job, group, status, state, told]
    }

    /// What a message that came to us is.
    #[must_use]
    pub fn inward(&self, topic: &str) -> Inward {
        let rest = topic
            .strip_prefix(&self.base)
            .and_then(|rest| rest.strip_prefix('/'));
        let Some(rest) = rest else {
            return match topic.strip_prefix(&self.home) {
                Some("/status") => Inward::Birth,
                Some(rest) if rest.ends_with("/config") => Inward::Kept,
                _ => Inward::Other,
            };
        };
        if let Some(word) = rest.strip_prefix("cmd/") {
            return match VERBS.into_iter().find(|verb| verb.word() == word) {
                Some(verb) => Inward::Command(verb),
                None if word == VERIFY => Inward::Verify,
                None => Inward::NoCommand,
            };
        }
        let device = rest
            .strip_prefix("device/")
            .and_then(|rest| rest.strip_suffix("/set"));
        match device {
            Some(device) => device
                .parse()
                .map_or(Inward::Other, |id| Inward::Word(DeviceId(id))),
            None if rest == "info" => Inward::Info,
            None => Inward::Kept,
        }
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
        Tree::new("villa-7", "gw1", "lockbridge/villa-7/reply/", "home/assistant")
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
            ours.summary(),
            ours.discovery("device", &device.to_string()),
        ] {
            assert_eq!(Topic::parse(topic.as_str()).as_ref(), Some(&topic));
        }
    }

    #[test]
    fn no_two_gateways_are_one_word() {
        let node = |site, gateway| Tree::new(site, gateway, "r/", "home").node().to_owned();
        assert_eq!(node("villa-7", "gw1"), "lockbridge-villa-7-ID-gw1");
        assert_ne!(node("villa", "7-gw1"), node("villa-7", "gw1"));
        assert_ne!(node("villa-", "-gw1"), node("villa", "--gw1"));
    }

    #[test]
    fn what_comes_in() {
        const ID: &str = "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73";
        let ours = tree();
        let inward = |rest: &str| ours.inward(&format!("lockbridge/villa-7/gw1/{rest}"));
        assert_eq!(inward("cmd/delete"), Inward::Command(Verb::Delete));
        assert_eq!(
            inward("cmd/create_multiple"),
            Inward::Command(Verb::CreateMultiple)
        );
        assert_eq!(inward("cmd/update"), Inward::Command(Verb::Update));
        assert_eq!(inward("cmd/verify"), Inward::Verify);
        assert_eq!(inward("cmd/creat_multiple"), Inward::NoCommand);
        assert_eq!(inward("cmd/unlock_door"), Inward::NoCommand);
        let device = DeviceId(ID.parse().unwrap());
        assert_eq!(inward(&format!("device/{ID}/set")), Inward::Word(device));
        assert_eq!(inward("device/front/set"), Inward::Other);
        assert_eq!(inward(&format!("device/{ID}/state")), Inward::Kept);
        assert_eq!(inward("job/j1"), Inward::Kept);
        assert_eq!(inward("info"), Inward::Info);
        assert_eq!(ours.inward("home/assistant/status"), Inward::Birth);
        assert_eq!(ours.inward(ours.discovery("lock", "d").as_str()), Inward::Kept);
        assert_eq!(ours.inward("home/assistant/whatever"), Inward::Other);
        assert_eq!(ours.inward("lockbridge/villa-7/gw2/cmd/delete"), Inward::Other);
        assert_eq!(ours.inward("lockbridge/villa-7/gw11"), Inward::Other);
    }
}
