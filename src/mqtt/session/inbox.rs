//! Commands in: to the core, and acknowledged in the order in which they came.

use super::Session;
use super::outbox::{Sent, nothing};
use crate::gateway::{Answer, Door};
use crate::model::{Mono, Reason, Refusal};
use crate::mqtt::body;
use crate::mqtt::command::{self, Command, Stray};
use crate::mqtt::link::{Delivery, Link, Receipt};
use crate::mqtt::topic::Topic;
use crate::shell::{Core, Incoming, Stopping};

/// A command that was dealt with.
pub struct Judged {
    receipt: Receipt,
    /// `false` if nobody knows: then the broker keeps it.
    settled: bool,
    /// The answer that no job carries.
    stray: Option<Stray>,
}

impl<L: Link> Session<L> {
    /// Gives a command to the core. It is acknowledged in its turn.
    pub(super) fn judge(&mut self, delivery: &Delivery) {
        let receipt = delivery.receipt;
        let stray = match command::read(delivery, &self.frame.tree) {
            Command::Nothing => None,
            Command::Ask(incoming) => {
                self.clear_if_retained(delivery);
                let expires = delivery.expiry.map(|left| self.core.clock().now().mono + left);
                self.asking
                    .push_back(Box::pin(ask(self.core.clone(), receipt, incoming, expires)));
                return;
            }
            Command::Refuse(stray) => {
                self.clear_if_retained(delivery);
                tracing::warn!(reason = stray.refusal.reason.word(), "a command without a job");
                Some(stray)
            }
        };
        let judged = Judged {
            receipt,
            settled: true,
            stray,
        };
        self.asking.push_back(Box::pin(std::future::ready(judged)));
    }

    /// Before it would come again with every connection.
    fn clear_if_retained(&mut self, delivery: &Delivery) {
        if !delivery.retained {
            return;
        }
        tracing::warn!(
            topic = delivery.topic,
            "a retained command was refused and cleared"
        );
        if let Some(topic) = Topic::parse(&delivery.topic) {
            let (sent, message) = (Sent::Once(topic.clone()), nothing(topic));
            self.publish(message, sent);
        }
    }

    /// The answer first: both go over one connection, so that whoever lost the answer gets the
    /// command again.
    pub(super) fn acknowledge(&mut self, judged: Judged) {
        if !judged.settled {
            return;
        }
        if let Some(message) = judged.stray.and_then(body::stray) {
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
    let stray = match &answered {
        // Not on record under its id, which is another request's.
        Ok((job, Answer::Refused(refusal))) if refusal.reason == Reason::JobIdReused => Some(Stray {
            job: Some(job.clone()),
            to,
            refusal: refusal.clone(),
        }),
        _ => None,
    };
    Judged {
        receipt,
        settled: answered.is_ok(),
        stray,
    }
}
