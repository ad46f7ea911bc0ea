//! What the rest of the room asks of an MQTT client, so that the choice of one is one file.
//!
//! A client that stands behind [`Link`] connects by itself, and again after every loss. It forgets
//! what it was handed when a connection ends: what matters is kept elsewhere and handed over again,
//! and an acknowledgement never reaches another connection than that of its message. Every message
//! goes out with QoS 1.

use std::future::Future;
use std::time::Duration;

use super::topic::Topic;

/// A client of a broker.
pub trait Link: Send {
    /// Asks for what is published to a filter.
    ///
    /// # Errors
    /// [`NotTaken`]
    fn subscribe(&mut self, filter: &str, wanted: Wanted) -> Result<(), NotTaken>;

    /// Asks for it no more.
    ///
    /// # Errors
    /// [`NotTaken`]
    fn unsubscribe(&mut self, filter: &str) -> Result<(), NotTaken>;

    /// Hands a message over; what comes of it is told under the number that is returned.
    ///
    /// # Errors
    /// [`NotTaken`]
    fn publish(&mut self, message: Message) -> Result<Number, NotTaken>;

    /// Tells the broker that a message was dealt with. Says nothing if the message came over an
    /// earlier connection: the broker will send it again.
    fn acknowledge(&mut self, receipt: Receipt);

    /// Ends the connection, after all that was handed over, and with it the client.
    fn leave(&mut self);

    /// What happens next. May be given up and asked for again; nothing is lost by that.
    fn next(&mut self) -> impl Future<Output = Happening> + Send;
}

/// What is wanted of what is published to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What others publish, be it while we are away: with QoS 1, and with the retain flag that it was
    /// published with.
    Always,
    /// What others publish while we are there: with QoS 0, and with the retain flag likewise. What a
    /// broker stored for us nevertheless is told apart by [`Delivery::now`].
    Now,
    /// What the broker keeps, be it from ourselves: with QoS 1, and marked as retained only if it was kept.
    Kept,
}

/// Names a message that was handed over, on the present connection.
pub type Number = u64;

/// What happens on a link.
pub enum Happening {
    /// A connection stands, and nothing of an earlier one counts any more.
    Up {
        /// How many messages may be handed over and not settled at a time.
        window: usize,
    },
    /// The connection is gone. The client is already looking for the next one.
    Down,
    /// A message came.
    Came(Delivery),
    /// The broker has a message of ours.
    Taken(Number),
    /// The broker refused a message of ours, and says why.
    Refused(Number, String),
    /// The client is gone for good.
    Over,
}

/// Why a message was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// There is no connection.
    #[error("there is no connection to the broker")]
    Down,
    /// The broker takes no message of this size. It never will, on this connection.
    #[error("the broker takes at most {most} bytes, and this message has {bytes}")]
    TooLarge {
        /// Bytes of the message.
        bytes: usize,
        /// Bytes that the broker takes.
        most: usize,
    },
}

/// A message of ours. No `Debug`: it may hold PINs.
pub struct Message {
    /// Where to.
    pub topic: Topic,
    /// What; empty to take a retained message away.
    pub payload: Vec<u8>,
    /// The broker keeps it for those who come later.
    pub retain: bool,
    /// The broker drops it after this time.
    pub expiry: Option<Duration>,
    /// What the receiver tells its requests apart by.
    pub correlation: Option<Vec<u8>>,
}

/// A message of somebody else. No `Debug`: it may hold PINs.
pub struct Delivery {
    /// To acknowledge it by.
    pub receipt: Receipt,
    /// Where it was published.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// It was published to be kept by the broker.
    pub retained: bool,
    /// It came for what is [`Wanted::Now`] on the present connection. All does at a broker that cannot
    /// tell for what a message came.
    pub now: bool,
    /// Where its sender wants an answer.
    pub response_topic: Option<String>,
    /// What its sender tells answers apart by.
    pub correlation: Option<Vec<u8>>,
    /// How long it is still worth doing.
    pub expiry: Option<Duration>,
}

/// Which message of which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The connection, counted from the start of the client.
    pub epoch: u64,
    /// The packet; 0 for one that nobody waits to hear about.
    pub packet: u16,
}
