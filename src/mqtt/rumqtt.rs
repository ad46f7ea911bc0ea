//! [`Link`] on rumqttc, with what was found to go wrong in it kept outside.
//!
//! One client object serves one connection and is thrown away with it. So nothing that it would
//! carry over can do harm: an acknowledgement of an older connection that names a packet of the
//! new one, packet ids that collide for ever, messages that it drops without a word because the
//! broker forgot the session. Whoever hands messages over keeps what matters.
//!
//! [`connect`] gives two halves. The poller does nothing but turn the client's wheel and pass on
//! what it says, for a client whose wheel stands still sends no pings. [`Rumqtt`] is the other
//! end, and never waits for the poller: so that the poller may wait for it, when the broker has
//! sent more than there is room for.
//!
//! Trouble is a new connection after a pause; nothing is an error for those above. What TLS needs is
//! read from its files for each connection, so that renewed certificates need no restart.

mod trouble;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, LastWill, Packet, PubAck, PubAckReason, Publish, PublishProperties, SubscribeProperties,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::link::{Delivery, Happening, Link, Message, NotTaken, Number, Receipt, Wanted};
use super::topic::Topic;
use crate::clock::Clock;
use crate::config::ClientTls;
use crate::model::{Mono, Timestamp};
use crate::tls::{self, FileError};
use crate::warnings::Warnings;
use trouble::Trouble;

/// Commands that the broker may send before the first of them is acknowledged: when the card is
/// slow the broker waits. Some send more nevertheless (mosquitto 2.0, up to 16 more for every
/// acknowledgement, once it has a queue for us), so that nothing here relies on it.
const RECEIVE_MAXIMUM: u16 = 16;
/// Messages of ours that may be unsettled. The client allots its table by this number: without it,
/// 14 MB.
const WINDOW: u16 = 32;
/// What may wait to go out. More than a connection can ever ask for: an acknowledgement for every
/// packet id that there is, a full window, and what answers commands outside of it.
const REQUESTS: usize = 4 * u16::MAX as usize;
/// Bytes of messages that may have come without being heard, whatever their number: the wheel turns
/// on while the core waits for its card. Beyond that it stands still, and the broker has to wait.
/// Messages with QoS 0 get half of it and are dropped beyond.
const UNHEARD: u32 = 1 << 21;
/// Announced, so that the broker keeps to itself what we could not take.
const LARGEST_PACKET: u32 = 262_144;
/// The broker keeps our session, and commands for us, for so long: seven days.
const SESSION: u32 = 7 * 86_400;
/// From the first packet of TCP to the broker's word that we are connected.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// A connection that held so long was a good one.
const STABLE: Duration = Duration::from_secs(60);
/// A broker that goes is lost to all its gateways at the same moment: they come back one by one.
const SPREAD: Duration = Duration::from_secs(5);
/// How often the clock is looked at while a certificate waits for it to be set right.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(1);
/// The largest subscription identifier that there is in MQTT.
const LARGEST_IDENTIFIER: usize = 268_435_455;
/// What a packet has beside topic, payload and correlation data, at most.
const PACKET_OVERHEAD: usize = 64;

/// How to reach the broker, and as whom.
#[derive(Clone)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Names the session at the broker. Two clients with one name throw each other out for ever.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Without it everything goes in the clear.
    pub tls: Option<ClientTls>,
    /// Time between two signs of life.
    pub keep_alive: Duration,
    /// Longest pause between two attempts.
    pub backoff_max: Duration,
    /// What the broker publishes for us, retained, when it hears nothing more.
    pub will: (Topic, &'static str),
}

/// Our half: see [`connect`].
pub struct Rumqtt {
    said: mpsc::UnboundedReceiver<Said>,
    current: Option<Current>,
}

/// The connection that stands.
struct Current {
    epoch: u64,
    client: AsyncClient,
    handed_over: Number,
    largest: usize,
    identifier: Option<usize>,
    /// The poller ends the connection once this is gone.
    _hold: Hold,
}

/// Says nothing, and ends what it holds by being dropped.
type Hold = oneshot::Sender<Infallible>;

/// What the poller passes on.
enum Said {
    Up {
        epoch: u64,
        client: AsyncClient,
        window: usize,
        largest: usize,
        identifier: Option<usize>,
        hold: Hold,
    },
    /// A message, with the room that it takes until it is heard.
    Came(Delivery, OwnedSemaphorePermit),
    Happened(Happening),
}

/// A client, and the poller that somebody must run for it. It connects at once and again after
/// every loss, until it is told to leave or the client is dropped. `seed` spreads the pauses.
pub fn connect(
    broker: &Broker,
    clock: Clock,
    seed: u64,
) -> (Rumqtt, impl Future<Output = ()> + Send + use<>) {
    let (say, said) = mpsc::unbounded_channel();
    let poller = Poller {
        options: options(broker),
        tls: broker.tls.clone(),
        keep_alive: broker.keep_alive,
        backoff_max: broker.backoff_max,
        clock,
        say,
        room: Arc::new(Semaphore::new(UNHEARD as usize)),
    };
    (Rumqtt { said, current: None }, poller.run(seed))
}

fn options(broker: &Broker) -> MqttOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let (topic, word) = &broker.will;
    let will = LastWill::new(topic.as_str(), *word, QoS::AtLeastOnce, true, None);
    let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    options
        .set_keep_alive(broker.keep_alive)
        .set_clean_start(false)
        .set_session_expiry_interval(Some(SESSION))
        .set_receive_maximum(Some(RECEIVE_MAXIMUM))
        .set_max_packet_size(Some(LARGEST_PACKET))
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_connection_timeout(CONNECT_WITHIN.as_secs())
        .set_manual_acks(true)
        .set_last_will(will)
        .set_network_options(network);
    if let Some((user, password)) = &broker.credentials {
        options.set_credentials(user, password);
    }
    options
}

impl Rumqtt {
    /// Asks something of the client, and whether it takes that. A connection that takes no more is given
    /// up, as nothing would be heard of what was not taken: the next one begins anew.
    fn ask(&mut self, takes: impl FnOnce(&AsyncClient) -> bool) -> Result<(), NotTaken> {
        match &self.current {
            Some(current) if takes(&current.client) => Ok(()),
            _ => {
                self.current = None;
                Err(NotTaken::Down)
            }
        }
    }
}

impl Link for Rumqtt {
    fn subscribe(&mut self, filter: &str, wanted: Wanted) -> Result<(), NotTaken> {
        let current = self.current.as_ref().ok_or(NotTaken::Down)?;
        let qos = match wanted {
            Wanted::Always | Wanted::Kept => QoS::AtLeastOnce,
            Wanted::Now => QoS::AtMostOnce,
        };
        let mut filter = Filter::new(filter, qos);
        filter.nolocal = wanted != Wanted::Kept;
        filter.preserve_retain = wanted != Wanted::Kept;
        let properties = SubscribeProperties {
            id: current.identifier.filter(|_| wanted == Wanted::Now),
            user_properties: Vec::new(),
        };
        self.ask(|client| {
            client
                .try_subscribe_many_with_properties([filter], properties)
                .is_ok()
        })
    }

    fn unsubscribe(&mut self, filter: &str) -> Result<(), NotTaken> {
        self.ask(|client| client.try_unsubscribe(filter).is_ok())
    }

    fn publish(&mut self, message: Message) -> Result<Number, NotTaken> {
        let current = self.current.as_ref().ok_or(NotTaken::Down)?;
        let correlated = message.correlation.as_ref().map_or(0, Vec::len);
        let bytes = message.topic.as_str().len() + message.payload.len() + correlated + PACKET_OVERHEAD;
        if bytes > current.largest {
            return Err(NotTaken::TooLarge {
                bytes,
                most: current.largest,
            });
        }
        let properties = PublishProperties {
            message_expiry_interval: message.expiry.map(seconds),
            correlation_data: message.correlation.map(Into::into),
            ..PublishProperties::default()
        };
        self.ask(|client| {
            let (topic, payload) = (message.topic.as_str(), message.payload);
            client
                .try_publish_with_properties(topic, QoS::AtLeastOnce, message.retain, payload, properties)
                .is_ok()
        })?;
        let current = self.current.as_mut().ok_or(NotTaken::Down)?;
        current.handed_over += 1;
        Ok(current.handed_over)
    }

    fn acknowledge(&mut self, receipt: Receipt) {
        let is_of_now = self.current.as_ref().is_some_and(|c| c.epoch == receipt.epoch);
        if !is_of_now || receipt.packet == 0 {
            return;
        }
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            pkid: receipt.packet,
            ..Publish::default()
        };
        if self.ask(|client| client.try_ack(&publish).is_ok()).is_err() {
            tracing::debug!("a command was dealt with after its connection had ended");
        }
    }

    fn leave(&mut self) {
        if self.ask(|client| client.try_disconnect().is_ok()).is_err() {
            tracing::debug!("the MQTT client could not say goodbye");
        }
    }

    async fn next(&mut self) -> Happening {
        match self.said.recv().await {
            Some(Said::Up {
                epoch,
                client,
                window,
                largest,
                identifier,
                hold,
            }) => {
                self.current = Some(Current {
                    epoch,
                    client,
                    handed_over: 0,
                    largest,
                    identifier,
                    _hold: hold,
                });
                Happening::Up { window }
            }
            Some(Said::Came(delivery, _room)) => Happening::Came(delivery),
            Some(Said::Happened(happening)) => {
                if matches!(happening, Happening::Down) {
                    self.current = None;
                }
                happening
            }
            None => Happening::Over,
        }
    }
}

/// Whole seconds, at least one: zero would mean "expired".
fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX).max(1)
}

struct Poller {
    options: MqttOptions,
    tls: Option<ClientTls>,
    keep_alive: Duration,
    backoff_max: Duration,
    clock: Clock,
    say: mpsc::UnboundedSender<Said>,
    /// Bytes that may still come without being heard.
    room: Arc<Semaphore>,
}

/// How a connection ended.
enum End {
    /// We said goodbye, or nobody listens any more.
    Ours,
    /// Anything else.
    Lost(Trouble),
}

impl Poller {
    async fn run(self, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut failures = 0_u32;
        for epoch in 1.. {
            let mut connection = Connection {
                epoch,
                poller: &self,
                up_since: None,
                identifier: Some(rng.random_range(1..=LARGEST_IDENTIFIER)),
                sent: 0,
                packets: BTreeMap::new(),
                warnings: Warnings::default(),
            };
            let End::Lost(Trouble { why, until }) = connection.last().await else {
                return;
            };
            let held = connection.up_since.map(|since| self.since(since));
            if held.is_some() && self.say.send(Said::Happened(Happening::Down)).is_err() {
                return;
            }
            failures = match held {
                Some(held) if held >= STABLE => 0,
                _ => failures.saturating_add(1),
            };
            let pause = pause(failures, self.backoff_max, rng.random());
            tracing::warn!(%why, ?pause, "no connection to the MQTT broker; trying again");
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.comes(until) => {}
                () = self.say.closed() => return,
            }
        }
    }

    /// What to connect with, over TLS by files as they are now.
    fn options(&self) -> Result<MqttOptions, FileError> {
        let mut options = self.options.clone();
        if let Some(tls) = &self.tls {
            let client = TlsConfiguration::Rustls(Arc::new(tls::client(tls, &self.clock)?));
            options.set_transport(Transport::tls_with_config(client));
        }
        Ok(options)
    }

    /// Waits until the wall clock shows a time, if only because somebody sets it.
    async fn comes(&self, time: Option<Timestamp>) {
        let Some(time) = time else {
            return pending().await;
        };
        while self.clock.now().wall < time {
            self.clock.sleep(LOOK_AT_CLOCK).await;
        }
    }

    fn since(&self, then: Mono) -> Duration {
        Duration::from_millis(self.clock.now().mono.0.saturating_sub(then.0))
    }
}

/// After a connection that had stood, anything up to [`SPREAD`]. In vain it doubles from a second to the longest; the second half
/// of it is left to chance.
fn pause(failures: u32, longest: Duration, chance: f64) -> Duration {
    if failures == 0 {
        return SPREAD.min(longest).mul_f64(chance);
    }
    let whole = Duration::from_secs(1_u64 << failures.saturating_sub(1).min(12)).min(longest);
    whole.mul_f64(0.5 + chance / 2.0)
}

struct Connection<'a> {
    epoch: u64,
    poller: &'a Poller,
    up_since: Option<Mono>,
    /// The subscription identifier of what is wanted now, another one for every connection. It comes with
    /// every message for it: what a broker stored for an earlier connection has that one's. `None` at a
    /// broker that knows no such thing. No message comes for two of them: the client miscounts several.
    identifier: Option<usize>,
    /// Messages that went out. They go in the order in which they were handed over, so that this
    /// is the number of the latest.
    sent: Number,
    /// The numbers of those that the broker has not settled, by packet id.
    packets: BTreeMap<u16, Number>,
    /// About messages that were dropped.
    warnings: Warnings,
}

impl Connection<'_> {
    /// Connects, and lasts until the connection ends.
    async fn last(&mut self) -> End {
        let options = match self.poller.options() {
            Ok(options) => options,
            Err(error) => return End::Lost(Trouble::new(error.to_string())),
        };
        let (client, mut wheel) = AsyncClient::new(options, REQUESTS);
        let (hold, mut given_up) = oneshot::channel();
        let mut hold = Some(hold);
        let mut patience = CONNECT_WITHIN * 2;
        loop {
            // A healthy client says something at least once per keep-alive, if only that it sends
            // a ping. This one may hang on a dead link while it writes.
            let turned = tokio::select! {
                turned = timeout(patience, turn(&mut wheel, &self.poller.say)) => turned,
                _ = &mut given_up => {
                    return End::Lost(Trouble::new("more waits to go out than there is room for".into()));
                }
            };
            let event = match turned {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return End::Lost(self.trouble(&error)),
                Ok(None) => return End::Ours,
                Err(_) => return End::Lost(Trouble::new("the connection hangs".into())),
            };
            let said = match event {
                Event::Incoming(Packet::ConnAck(ack)) => {
                    let keep_alive = self.keep_alive(&ack);
                    // The client takes "none" for "without a pause".
                    if wheel.options.keep_alive().is_zero() {
                        wheel.options.set_keep_alive(keep_alive);
                    }
                    patience = 2 * keep_alive;
                    self.up_since = Some(self.poller.clock.now().mono);
                    // There is one confirmation for each client.
                    hold.take().map(|hold| self.up(client.clone(), hold, &ack))
                }
                Event::Incoming(Packet::Publish(publish)) => self.came(publish).await,
                Event::Outgoing(Outgoing::Disconnect) => return End::Ours,
                event => self.happened(event).map(Said::Happened),
            };
            if said.is_some_and(|said| self.poller.say.send(said).is_err()) {
                return End::Ours;
            }
        }
    }

    fn trouble(&self, error: &ConnectionError) -> Trouble {
        let (host, _) = self.poller.options.broker_address();
        Trouble::of(error, &host, self.poller.tls.as_ref(), self.up_since.is_some())
    }

    fn up(&mut self, client: AsyncClient, hold: Hold, ack: &ConnAck) -> Said {
        let told = ack.properties.as_ref();
        if told.and_then(|p| p.subscription_identifiers_available) == Some(0) {
            self.identifier = None;
        }
        let window = told
            .and_then(|p| p.receive_max)
            .map_or(WINDOW, |max| max.min(WINDOW));
        let largest = told
            .and_then(|p| p.max_packet_size)
            .map_or(usize::MAX, |max| max as usize);
        tracing::info!(session = ack.session_present, "connected to the MQTT broker");
        Said::Up {
            epoch: self.epoch,
            client,
            window: usize::from(window),
            largest,
            identifier: self.identifier,
            hold,
        }
    }

    /// The broker may ask for another keep-alive than ours, and the client obeys. One that asks for
    /// none gets ours nevertheless: it is how a dead link is noticed.
    fn keep_alive(&self, ack: &ConnAck) -> Duration {
        let asked = ack.properties.as_ref().and_then(|p| p.server_keep_alive);
        let asked = asked.filter(|seconds| *seconds > 0);
        asked.map_or(self.poller.keep_alive, |s| Duration::from_secs(s.into()))
    }

    /// A message, once there is room for it; `None` if it was dropped for want of it.
    async fn came(&mut self, publish: Publish) -> Option<Said> {
        let room = &self.poller.room;
        if publish.qos == QoS::AtMostOnce && room.available_permits() < UNHEARD as usize / 2 {
            if let Some(kept_back) = self.warnings.one_more(self.poller.clock.now().mono) {
                tracing::warn!(kept_back, "too many messages with QoS 0; one was dropped");
            }
            return None;
        }
        let bytes = publish.topic.len() + publish.payload.len() + PACKET_OVERHEAD;
        let bytes = u32::try_from(bytes).unwrap_or(UNHEARD).min(UNHEARD);
        // It is never closed, and given back whole when nobody listens any more.
        let taken = Arc::clone(room).acquire_many_owned(bytes).await.ok()?;
        Some(Said::Came(self.delivery(publish), taken))
    }

    fn happened(&mut self, event: Event) -> Option<Happening> {
        match event {
            Event::Outgoing(Outgoing::Publish(packet)) => {
                self.sent += 1;
                self.packets.insert(packet, self.sent);
                None
            }
            Event::Incoming(Packet::PubAck(ack)) => self.settled(&ack),
            Event::Incoming(Packet::SubAck(ack)) => {
                for code in &ack.return_codes {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        tracing::error!(?code, "the MQTT broker refuses a subscription of ours");
                    }
                }
                None
            }
            _ => None,
        }
    }

    fn settled(&mut self, ack: &PubAck) -> Option<Happening> {
        let number = self.packets.remove(&ack.pkid)?;
        Some(match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Happening::Taken(number),
            refused => Happening::Refused(number, format!("{refused:?}")),
        })
    }

    fn delivery(&self, publish: Publish) -> Delivery {
        let properties = publish.properties.unwrap_or_default();
        Delivery {
            receipt: Receipt {
                epoch: self.epoch,
                packet: publish.pkid,
            },
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.into(),
            retained: publish.retain,
            now: self
                .identifier
                .is_none_or(|ours| properties.subscription_identifiers.contains(&ours)),
            response_topic: properties.response_topic,
            correlation: properties.correlation_data.map(Into::into),
            expiry: properties
                .message_expiry_interval
                .map(|s| Duration::from_secs(s.into())),
        }
    }
}

/// One turn of the client's wheel; `None` once nobody listens.
async fn turn(
    wheel: &mut EventLoop,
    say: &mpsc::UnboundedSender<Said>,
) -> Option<Result<Event, ConnectionError>> {
    tokio::select! {
        event = wheel.poll() => Some(event),
        () = say.closed() => None,
    }
}

#[cfg(test)]
mod tests;
