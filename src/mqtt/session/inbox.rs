//! Commands in: to the core, and acknowledged in the order in which they came.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt;

use super::outbox::{Sent, nothing};
use super::rivals::Rival;
use super::{Parting, STRAYS, Session};
use crate::gateway::{Answer, Door, Event};
use crate::model::{DeviceId, Mono, Reason, Refusal};
use crate::mqtt::body;
use crate::mqtt::command::{self, Aside, Command};
use crate::mqtt::link::{Delivery, Link, Receipt};
use crate::mqtt::topic::{Inward, Topic};
use crate::shell::{Core, Incoming, Stopping};

/// A command that was dealt with.
pub struct Judged {
    receipt: Receipt,
    /// `false` if nobody knows: then the broker keeps it.
    settled: bool,
    /// The answer that no job carries.
    aside: Option<Aside>,
    /// Why a word to this device moved nothing.
    unheeded: Option<(DeviceId, String)>,
}

/// Between the birth of Home Assistant and our telling it everything, so that not all gateways of a
/// house do so at once.
const AFTER_BIRTH: RangeInclusive<u64> = 1_000..=5_000;

impl<L: Link> Session<L> {
    /// Takes a message in. It is acknowledged in its turn.
    pub(super) fn judge(&mut self, delivery: &Delivery) {
        let inward = self.frame.tree.inward(&delivery.topic);
        match inward {
            Inward::Command(_) | Inward::Verify | Inward::NoCommand => return self.obey(delivery, inward),
            Inward::Word(device) => return self.heed(delivery, device),
            Inward::Info => self.meet(delivery),
            Inward::Kept => self.sweep(delivery),
            Inward::Birth => self.note_birth(delivery),
            Inward::Other => {}
        }
        self.settle(delivery.receipt, None);
    }

    fn settle(&mut self, receipt: Receipt, aside: Option<Aside>) {
        let judged = Judged {
            receipt,
            settled: true,
            aside,
            unheeded: None,
        };
        self.asking.push_back(Box::pin(std::future::ready(judged)));
    }

    fn obey(&mut self, delivery: &Delivery, inward: Inward) {
        let (core, receipt) = (self.core.clone(), delivery.receipt);
        let command = command::read(delivery, &self.frame.tree, inward);
        if !matches!(command, Command::Nothing) {
            self.clear_if_retained(delivery);
        }
        match command {
            Command::Nothing => {
                // That a retained one is taken away is nothing to tell of.
                if !delivery.retained && self.may_warn() {
                    let topic = &delivery.topic;
                    tracing::warn!(topic, "an empty command asks for nothing");
                }
                self.settle(receipt, None);
            }
            Command::Ask(incoming) => {
                let expires = delivery.expiry.map(|left| core.clock().now().mono + left);
                self.asking
                    .push_back(Box::pin(ask(core, receipt, incoming, expires)));
            }
            Command::Verify { device, answer } => {
                self.asking
                    .push_back(Box::pin(verify(core, receipt, device, answer)));
            }
            Command::Refuse(aside) => {
                if let Err(refusal) = &aside.told
                    && self.may_warn()
                {
                    let (topic, reason) = (&delivery.topic, refusal.reason.word());
                    tracing::warn!(topic, reason, why = refusal.message, "a command was refused");
                }
                self.settle(receipt, Some(aside));
            }
        }
    }

    /// A word to a device. One that was kept by the broker, or waited there, was meant for another time.
    fn heed(&mut self, delivery: &Delivery, device: DeviceId) {
        let word = command::word(&delivery.payload, device);
        match word {
            _ if delivery.payload.is_empty() => self.settle(delivery.receipt, None),
            _ if !delivery.now => {
                if self.may_warn() {
                    tracing::warn!(%device, "a word to a device had waited at the broker, and was not heeded");
                }
                self.settle(delivery.receipt, None);
            }
            Some(incoming) if !delivery.retained => {
                let (core, receipt) = (self.core.clone(), delivery.receipt);
                self.asking.push_back(Box::pin(async move {
                    let why = match core.ask(incoming).await {
                        Ok((_, Answer::Refused(refusal))) => Some(refusal.message),
                        Ok(_) => None,
                        Err(unanswered) => Some(unanswered.to_string()),
                    };
                    Judged {
                        receipt,
                        settled: true,
                        aside: None,
                        unheeded: why.map(|why| (device, why)),
                    }
                }));
            }
            Some(_) => {
                self.clear_if_retained(delivery);
                self.settle(delivery.receipt, None);
            }
            None => {
                if self.may_warn() {
                    tracing::warn!(%device, "a word to a device that is neither LOCK nor UNLOCK");
                }
                self.clear_if_retained(delivery);
                self.settle(delivery.receipt, None);
            }
        }
    }

    /// What the broker keeps of ours, and nothing stands behind any more, is taken away.
    fn sweep(&mut self, delivery: &Delivery) {
        let left_behind = self
            .sweeping
            .as_ref()
            .is_some_and(|known| delivery.retained && !known.contains(delivery.topic.as_str()));
        if let Some(topic) = Topic::parse(&delivery.topic).filter(|_| left_behind) {
            tracing::info!(%topic, "the broker kept what is no more; it was cleared");
            self.publish(nothing(topic.clone()), Sent::Once(topic));
        }
    }

    /// Who was here last, by what the broker kept.
    fn meet(&mut self, delivery: &Delivery) {
        if !delivery.retained {
            return;
        }
        let rival = self.rivals.met(&delivery.payload, self.core.clock().now().mono);
        if rival != Rival::Nobody {
            tracing::error!(
                "another gateway with our name is at the MQTT broker: give each its own `[gateway] id`"
            );
        }
        if rival == Rival::First {
            self.parting = Parting::Displaced;
        }
    }

    /// Home Assistant has come up, and may have forgotten what it saw.
    fn note_birth(&mut self, delivery: &Delivery) {
        if !delivery.retained && delivery.payload == b"online" {
            let pause = Duration::from_millis(self.chance.random_range(AFTER_BIRTH));
            self.tell_all_at = Some(self.core.clock().now().mono + pause);
        }
    }

    /// Before it would come again with every connection; once there is room, for there is no bound to
    /// the number of those with QoS 0.
    fn clear_if_retained(&mut self, delivery: &Delivery) {
        if !delivery.retained {
            return;
        }
        if self.may_warn() {
            let topic = &delivery.topic;
            tracing::warn!(topic, "a retained command was refused, and is cleared");
        }
        let Some(topic) = Topic::parse(&delivery.topic) else {
            return;
        };
        let is_it = |sent: &Sent| matches!(sent, Sent::Once(other) if *other == topic);
        if self.strays.len() < STRAYS && !self.on_their_way.values().any(is_it) {
            self.strays.insert(topic);
        }
    }

    /// Whether there is room in the log for one more warning about a message that came.
    fn may_warn(&mut self) -> bool {
        let kept_back = self.warnings.one_more(self.core.clock().now().mono);
        if let Some(kept_back @ 1..) = kept_back {
            tracing::warn!(kept_back, "further messages were refused");
        }
        kept_back.is_some()
    }

    /// The answer first: both go over one connection, so that whoever lost the answer gets the
    /// command again.
    pub(super) fn acknowledge(&mut self, judged: Judged) {
        if !judged.settled {
            return;
        }
        if let Some((device, why)) = &judged.unheeded
            && self.may_warn()
        {
            tracing::warn!(%device, why, "a word to a device was not heeded");
        }
        if let Some(message) = judged.aside.and_then(body::aside) {
            // Messages with QoS 0 may be lost, and there is no bound to their number.
            let room = self.window.is_some_and(|window| self.on_their_way.len() < window);
            if room || judged.receipt.packet != 0 {
                let sent = Sent::Once(message.topic.clone());
                self.publish(message, sent);
            }
        }
        self.link.acknowledge(judged.receipt);
    }
}

/// Asks the core. A full queue is waited for, in order: the broker holds back what comes after,
/// and nothing would be gained by letting a later command overtake.
async fn ask(core: Core, receipt: Receipt, mut incoming: Incoming, expires: Option<Mono>) -> Judged {
    let to = match &incoming.door {
        Door::Mqtt { reply, .. } => reply.clone(),
        Door::Http { .. } => None,
    };
    let answered = async {
        let room = core.room().await?;
        if expires.is_some_and(|at| at <= core.clock().now().mono) {
            let late = "the command's message expiry had passed before it could be looked at";
            incoming.request = Err(Refusal::new(Reason::Expired, late));
        }
        room.ask(incoming).await
    };
    let answered: Result<_, Stopping> = answered.await;
    let aside = match &answered {
        // Not on record under its id, which is another request's.
        Ok((job, Answer::Refused(refusal))) if refusal.reason == Reason::JobIdReused => Some(Aside {
            job: Some(job.clone()),
            to,
            told: Err(refusal.clone()),
        }),
        _ => None,
    };
    Judged {
        receipt,
        settled: answered.is_ok(),
        aside,
        unheeded: None,
    }
}

/// Has the codes of a device checked, or of all.
async fn verify(core: Core, receipt: Receipt, device: Option<DeviceId>, answer: Aside) -> Judged {
    let checked = async {
        let known = core
            .look(|gateway, _| gateway.device_ids().collect::<Vec<_>>())
            .await?;
        let meant: Vec<DeviceId> = match device {
            Some(device) => known.into_iter().filter(|id| *id == device).collect(),
            None => known,
        };
        for id in &meant {
            core.tell(Event::Verify(*id)).await?;
        }
        Ok::<_, Stopping>(device.is_none() || !meant.is_empty())
    };
    let checked = checked.await;
    let unknown = Refusal::new(Reason::DeviceNotFound, "there is no such device");
    Judged {
        receipt,
        settled: checked.is_ok(),
        aside: Some(match checked {
            Ok(false) => Aside {
                told: Err(unknown),
                ..answer
            },
            _ => answer,
        }),
        unheeded: None,
    }
}
