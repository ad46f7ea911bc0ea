//! One gateway at a broker: commands in, answers and state out.
//!
//! Nothing that matters is kept here. A command is acknowledged once the core has answered, so
//! that what is lost before comes again. An answer is the core's until the broker has it. State
//! is looked up when it is sent, so that only the newest is. What was shown is remembered for as
//! long as the connection stands, to send no picture twice; with a new connection everything is
//! sent again, for the broker may have forgotten all of it.
//!
//! The broker refusing a message is an alarm in the log, and the message is tried again later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use sha2::{Digest, Sha256};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::body::{self, Frame, Item, Picture};
use super::command::{self, Command, Stray};
use super::link::{Delivery, Happening, Link, Message, NotTaken, Number, Receipt};
use super::topic::Topic;
use crate::gateway::{Answer, Door, Event, Subject};
use crate::model::{Mono, Reason, Refusal};
use crate::shell::{Core, Incoming, Unanswered};

/// A thing is shown at most so often; changes in between are shown as one.
const PACE: Duration = Duration::from_secs(1);
/// Before a message that the broker refused is tried again.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Commands that are with the core at a time; further ones wait with the broker.
const ASKING: usize = 64;
/// Pictures made at one look, during which the core does nothing else.
const LOOK: usize = 8;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// See the front of this file.
pub struct Session<L> {
    link: L,
    core: Core,
    frame: Frame,
    /// How many messages may be on their way; `None` without a connection.
    window: Option<usize>,
    on_their_way: BTreeMap<Number, Sent>,
    /// Commands with the core, in the order in which they came and are acknowledged.
    asking: FuturesOrdered<BoxFuture<'static, Judged>>,
    /// Answers may be waiting that were not looked at.
    answers_wait: bool,
    /// Answers that the broker refused, until this time.
    refused: BTreeSet<u64>,
    refused_until: Option<Mono>,
    agenda: Agenda,
    /// What was shown on this connection; `None` for what only an earlier one has seen.
    shown: BTreeMap<Item, Option<[u8; 32]>>,
}

type Agenda = super::agenda::Agenda<Item>;

/// A message that the broker has not yet settled.
enum Sent {
    /// An answer that the core keeps.
    Answer(u64),
    /// A picture.
    Shown(Item),
    /// Something that is not tried again.
    Once(Topic),
}

/// A command that was dealt with.
struct Judged {
    receipt: Receipt,
    /// `false` if nobody knows: then the broker keeps it.
    settled: bool,
    /// The answer that no job carries.
    stray: Option<Stray>,
}

impl<L: Link> Session<L> {
    /// A session that is not yet connected.
    pub fn new(link: L, core: Core, frame: Frame) -> Session<L> {
        Session {
            link,
            core,
            frame,
            window: None,
            on_their_way: BTreeMap::new(),
            asking: FuturesOrdered::new(),
            answers_wait: false,
            refused: BTreeSet::new(),
            refused_until: None,
            agenda: Agenda::new(PACE),
            shown: BTreeMap::new(),
        }
    }

    /// Goes on until it is told to stop, or the core stops; then says goodbye.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut news = self.core.news();
        let stopping = async move {
            // A handle that was dropped will never say anything: that is not a stop.
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(stopping);
        let clock = self.core.clock().clone();
        while self.send().await.is_ok() {
            // While nothing can be sent no time matters but the broker's.
            let later = self.agenda.next().into_iter().chain(self.refused_until).min();
            let alarm = later.filter(|_| self.space().is_some());
            let went_on = tokio::select! {
                biased;
                () = &mut stopping => break,
                Some(judged) = self.asking.next(), if !self.asking.is_empty() => {
                    self.acknowledge(judged);
                    Ok(())
                }
                happening = self.link.next(), if self.asking.len() < ASKING => match happening {
                    Happening::Over => return,
                    happening => self.take(happening).await,
                },
                changed = news.recv() => self.follow(changed).await,
                () = clock.until(alarm.unwrap_or_default()), if alarm.is_some() => {
                    self.end_refusals();
                    Ok(())
                }
            };
            if went_on.is_err() {
                break;
            }
        }
        // A link that hangs must not hold up the end of the gateway.
        if timeout(FAREWELL, self.leave()).await.is_err() {
            tracing::warn!("the MQTT broker did not hear our goodbye; it will publish the will");
        }
    }

    async fn take(&mut self, happening: Happening) -> Result<(), Unanswered> {
        match happening {
            Happening::Up { window } => self.begin(window).await?,
            Happening::Down | Happening::Over => self.window = None,
            Happening::Came(delivery) => self.judge(&delivery),
            Happening::Taken(number) => {
                if let Some(Sent::Answer(seq)) = self.on_their_way.remove(&number) {
                    self.core.tell(Event::ReplySent(seq)).await?;
                }
            }
            Happening::Refused(number, why) => self.was_refused(number, &why),
        }
        Ok(())
    }

    /// A new connection: nothing of the one before counts.
    async fn begin(&mut self, window: usize) -> Result<(), Unanswered> {
        self.window = Some(window);
        self.on_their_way.clear();
        self.refused.clear();
        self.refused_until = None;
        self.agenda.clear();
        self.shown.values_mut().for_each(|picture| *picture = None);
        if let Err(why) = self.link.subscribe(&self.frame.tree.commands()) {
            tracing::error!(%why, "could not subscribe to commands");
        }
        self.show_all().await
    }

    async fn show_all(&mut self) -> Result<(), Unanswered> {
        self.answers_wait = true;
        let now = self.core.clock().now().mono;
        // What only an earlier connection has seen may be gone by now, and must be taken away.
        for item in self.shown.keys().filter(|item| **item != Item::Online) {
            self.agenda.add(item.clone(), now);
        }
        for item in self.core.look(body::everything).await? {
            self.agenda.add(item, now);
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        changed: Result<Arc<BTreeSet<Subject>>, broadcast::error::RecvError>,
    ) -> Result<(), Unanswered> {
        if self.window.is_none() {
            return Ok(());
        }
        let changed = match changed {
            Ok(changed) => changed,
            Err(broadcast::error::RecvError::Lagged(_)) => return self.show_all().await,
            Err(broadcast::error::RecvError::Closed) => return Err(Unanswered::Stopping),
        };
        let now = self.core.clock().now().mono;
        for subject in changed.iter() {
            match subject {
                Subject::Device(id) => {
                    self.agenda.add(Item::DeviceStatus(*id), now);
                    self.agenda.add(Item::DeviceState(*id), now);
                    self.agenda.add(Item::Info, now);
                }
                Subject::Job(id) => {
                    self.agenda.add(Item::Job(id.clone()), now);
                    self.agenda.add(Item::Info, now);
                }
                Subject::Group(key) => self.agenda.add(Item::Group(key.clone()), now),
                Subject::Replies => self.answers_wait = true,
            }
        }
        Ok(())
    }

    /// Gives a command to the core. It is acknowledged in its turn.
    fn judge(&mut self, delivery: &Delivery) {
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
    fn acknowledge(&mut self, judged: Judged) {
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

    fn was_refused(&mut self, number: Number, why: &str) {
        let again = self.core.clock().now().mono + AFTER_REFUSAL;
        match self.on_their_way.remove(&number) {
            Some(Sent::Answer(seq)) => {
                tracing::error!(
                    seq,
                    why,
                    "the MQTT broker refused an answer; it will be tried again"
                );
                self.put_off(seq, again);
            }
            Some(Sent::Shown(item)) => {
                let topic = item.topic(&self.frame.tree);
                tracing::error!(%topic, why, "the MQTT broker refused a message; it will be tried again");
                self.shown.remove(&item);
                self.agenda.at(item, again);
            }
            Some(Sent::Once(topic)) => tracing::error!(%topic, why, "the MQTT broker refused a message"),
            None => {}
        }
    }

    fn put_off(&mut self, answer: u64, until: Mono) {
        self.refused.insert(answer);
        self.refused_until.get_or_insert(until);
    }

    fn end_refusals(&mut self) {
        let now = self.core.clock().now().mono;
        if self.refused_until.is_some_and(|until| until <= now) {
            self.refused_until = None;
            self.refused.clear();
            self.answers_wait = true;
        }
    }

    /// Sends what there is to send, until the window is full. Answers go first: somebody waits.
    async fn send(&mut self) -> Result<(), Unanswered> {
        while let Some(space) = self.space() {
            if self.answers_wait {
                self.send_answers(space).await?;
            } else if !self.show_some(space).await? {
                break;
            }
        }
        Ok(())
    }

    fn space(&self) -> Option<usize> {
        let space = self.window?.saturating_sub(self.on_their_way.len());
        (space > 0).then_some(space)
    }

    async fn send_answers(&mut self, space: usize) -> Result<(), Unanswered> {
        let most = space.min(LOOK);
        let on_their_way = self.on_their_way.values().filter_map(|sent| match sent {
            Sent::Answer(seq) => Some(*seq),
            Sent::Shown(_) | Sent::Once(_) => None,
        });
        let skip: BTreeSet<u64> = on_their_way.chain(self.refused.iter().copied()).collect();
        let frame = self.frame.clone();
        let answers = self.core.look(move |gateway, now| {
            let waiting = gateway
                .replies()
                .filter(|(seq, _)| !skip.contains(seq))
                .take(most);
            waiting
                .map(|(seq, reply)| (seq, body::reply(&frame, gateway, reply, now)))
                .collect::<Vec<_>>()
        });
        let answers = answers.await?;
        self.answers_wait = answers.len() == most;
        for (seq, message) in answers {
            match message {
                Some(message) => {
                    if !self.publish(message, Sent::Answer(seq)) {
                        let again = self.core.clock().now().mono + AFTER_REFUSAL;
                        self.put_off(seq, again);
                    }
                }
                // Nothing is known any more that it could say.
                None => self.core.tell(Event::ReplySent(seq)).await?,
            }
        }
        Ok(())
    }

    /// Shows what is due; `false` if nothing is.
    async fn show_some(&mut self, space: usize) -> Result<bool, Unanswered> {
        let now = self.core.clock().now().mono;
        let due = std::iter::from_fn(|| self.agenda.take(now));
        let due: Vec<Item> = due.take(space.min(LOOK)).collect();
        if due.is_empty() {
            return Ok(false);
        }
        let frame = self.frame.clone();
        let pictures = self.core.look(move |gateway, now| {
            let look = |item: Item| (item.picture(&frame, gateway, now), item);
            due.into_iter().map(look).collect::<Vec<_>>()
        });
        for (picture, item) in pictures.await? {
            match picture {
                Some(picture) => self.show(item, picture),
                None => self.take_away(item),
            }
        }
        Ok(true)
    }

    fn show(&mut self, item: Item, picture: Picture) {
        if let Some(life) = picture.life {
            self.agenda.at(item.clone(), self.core.clock().now().mono + life);
        }
        let digest: [u8; 32] = Sha256::digest(&picture.payload).into();
        if self.shown.get(&item) == Some(&Some(digest)) {
            return;
        }
        let message = Message {
            topic: item.topic(&self.frame.tree),
            payload: picture.payload,
            retain: true,
            expiry: picture.life,
            correlation: None,
        };
        self.publish(message, Sent::Shown(item.clone()));
        self.shown.insert(item, Some(digest));
    }

    fn take_away(&mut self, item: Item) {
        let message = nothing(item.topic(&self.frame.tree));
        self.shown.remove(&item);
        self.publish(message, Sent::Shown(item));
    }

    /// Hands a message over; `false` if the broker would not take it.
    fn publish(&mut self, message: Message, sent: Sent) -> bool {
        let topic = message.topic.clone();
        match self.link.publish(message) {
            Ok(number) => {
                self.on_their_way.insert(number, sent);
                true
            }
            Err(why @ NotTaken::TooLarge { .. }) => {
                tracing::error!(%topic, %why, "a message cannot be sent");
                false
            }
            // The connection is gone, and the link about to say so: all of this comes again.
            Err(NotTaken::Down) => {
                self.window = None;
                true
            }
        }
    }

    /// A broker drops the will after a goodbye, so the word is ours to say.
    async fn leave(&mut self) {
        if self.window.is_none() {
            return;
        }
        let message = Message {
            payload: body::status_word(false).into(),
            ..nothing(self.frame.tree.status())
        };
        let Ok(last) = self.link.publish(message) else {
            return;
        };
        loop {
            match self.link.next().await {
                Happening::Taken(number) | Happening::Refused(number, _) if number == last => {
                    self.link.leave();
                }
                Happening::Over | Happening::Down => return,
                Happening::Up { .. } | Happening::Came(_) | Happening::Taken(_) | Happening::Refused(..) => {}
            }
        }
    }
}

/// The message that takes a retained one away.
fn nothing(topic: Topic) -> Message {
    Message {
        topic,
        payload: Vec::new(),
        retain: true,
        expiry: None,
        correlation: None,
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
    let answered: Result<_, Unanswered> = answered.await;
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
