//! The socket to the server of the radio. One [`Line`] lives as long as its connection: what asks over an
//! old one is told that it is gone, so that nothing of one connection reaches the next.
//!
//! Frames hold PINs: none is logged, nor is what a parser says of one.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::hear::{self, Heard};
use super::wire::{Answer, Head, Hello, Numbered};
use crate::clock::Clock;
use crate::model::Outage;

/// From the first packet of TCP to the server's first words.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The server sends no signs of life of its own: so often it is asked for one.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A frame that cannot be handed over within this finds nobody at the other end.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The dump of a network has some 30 kB for a lock of 30 codes.
const LARGEST_MESSAGE: usize = 32 << 20;
/// Bytes that are read at once.
const READ_BUFFER: usize = 16 << 10;
/// What may wait to be heard. Of a network that says more in so short a time the oldest is lost, and it is asked
/// anew how it is.
const HEARD: usize = 256;
/// Commands that may wait for the socket.
const ASKS: usize = 64;

/// Makes what a connection over TLS needs, anew for each: its files may have been renewed.
pub type Tls = Arc<dyn Fn() -> Result<rustls::ClientConfig, String> + Send + Sync>;

/// Where the server is.
#[derive(Clone)]
pub struct Address {
    /// Name or IP address; also what its certificate must be for.
    pub host: String,
    /// Port.
    pub port: u16,
    /// With `wss://`.
    pub tls: Option<Tls>,
}

/// Why there is no connection.
pub struct Trouble {
    /// What is away.
    pub outage: Outage,
    /// In words. Never with a frame in it.
    pub why: String,
}

impl Trouble {
    fn server(why: impl Into<String>) -> Trouble {
        Trouble {
            outage: Outage::Server,
            why: why.into(),
        }
    }

    /// The server said something that it should not.
    pub fn odd(what: &str) -> Trouble {
        Trouble::server(format!(
            "the server's {what} cannot be understood: is it @zwave-js/server that listens there?"
        ))
    }
}

/// Why a command brought no answer that can be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The connection is gone: nobody knows whether it was carried out.
    Gone,
    /// The server took too long. It may still carry it out.
    Late,
    /// The server or the driver behind it said no.
    Error {
        /// Of the driver, if it was that.
        zwave: Option<u32>,
        /// A word of the server, or the driver's sentence. Not to be logged where the command held a PIN.
        why: String,
    },
    /// The answer is none that is known.
    Odd,
}

impl Unanswered {
    /// The server has no such node.
    pub fn is_unknown_node(&self) -> bool {
        matches!(self, Unanswered::Error { zwave: None, why } if why == "node_not_found")
    }

    /// In a word that holds nothing of what was asked.
    pub fn word(&self) -> String {
        match self {
            Unanswered::Gone => "the connection is gone".into(),
            Unanswered::Late => "it took too long".into(),
            Unanswered::Error {
                zwave: Some(code), ..
            } => format!("error {code} of the driver"),
            Unanswered::Error { zwave: None, .. } => "the server refuses".into(),
            Unanswered::Odd => "its answer cannot be understood".into(),
        }
    }
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

type Socket = WebSocketStream<Box<dyn Bytes>>;

/// Where commands go in. A clone speaks over the same connection.
#[derive(Clone)]
pub struct Line(Arc<Ends>);

struct Ends {
    asks: mpsc::Sender<Question>,
    next: AtomicU64,
}

struct Question {
    number: u64,
    text: String,
    answer: oneshot::Sender<Utf8Bytes>,
}

/// A connection that stands.
pub struct Connected<P> {
    /// What the server said of itself.
    pub hello: Hello,
    /// Where commands go in.
    pub line: Line,
    /// What happens.
    pub heard: broadcast::Receiver<Heard>,
    /// Moves the frames; must be polled, and ends with the connection.
    pub pump: P,
}

impl Line {
    /// Sends a command and waits for its answer, so long at most.
    pub async fn ask<R: DeserializeOwned>(
        &self,
        command: &(impl Serialize + Sync),
        patience: Duration,
    ) -> Result<R, Unanswered> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let numbered = Numbered {
            message_id: &number.to_string(),
            command,
        };
        let text = serde_json::to_string(&numbered).map_err(|_| Unanswered::Odd)?;
        let (answer, answered) = oneshot::channel();
        let question = Question { number, text, answer };
        self.0.asks.send(question).await.map_err(|_| Unanswered::Gone)?;
        let text = match timeout(patience, answered).await {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => return Err(Unanswered::Gone),
            Err(_) => return Err(Unanswered::Late),
        };
        let answer: Answer<R> = serde_json::from_str(&text).map_err(|_| Unanswered::Odd)?;
        match answer {
            Answer {
                success: true,
                result: Some(result),
                ..
            } => Ok(result),
            Answer { success: true, .. } => Err(Unanswered::Odd),
            answer => Err(Unanswered::Error {
                zwave: answer.zwave_error_code,
                why: (answer.zwave_error_message.or(answer.error_code)).unwrap_or_default(),
            }),
        }
    }
}

/// Connects, and hears what the server says first.
pub async fn connect(
    address: &Address,
    clock: Clock,
) -> Result<Connected<impl Future<Output = Trouble> + Send + use<>>, Trouble> {
    let opened = timeout(CONNECT_WITHIN, async {
        let mut socket = open(address).await?;
        let hello = hear_hello(&mut socket).await?;
        Ok((socket, hello))
    });
    let (socket, hello) = opened
        .await
        .unwrap_or_else(|_| Err(Trouble::server("no answer in time")))?;
    let (asks, asked) = mpsc::channel(ASKS);
    let (say, heard) = broadcast::channel(HEARD);
    let line = Line(Arc::new(Ends {
        asks,
        next: AtomicU64::new(1),
    }));
    let pump = Pump {
        socket,
        asked,
        say,
        clock,
        waiting: BTreeMap::new(),
    };
    Ok(Connected {
        hello,
        line,
        heard,
        pump: pump.run(),
    })
}

async fn open(address: &Address) -> Result<Socket, Trouble> {
    let Address { host, port, tls } = address;
    let tcp = TcpStream::connect((host.as_str(), *port)).await;
    let tcp = tcp.map_err(|error| Trouble::server(format!("{host}:{port}: {error}")))?;
    let _ = tcp.set_nodelay(true);
    let (scheme, bytes): (_, Box<dyn Bytes>) = match tls {
        None => ("ws", Box::new(tcp)),
        Some(tls) => {
            let config = tls().map_err(Trouble::server)?;
            let name = ServerName::try_from(host.clone()).map_err(|_| {
                Trouble::server(format!("\"{host}\" is no name that a certificate could be for"))
            })?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
            let stream = stream.map_err(|error| Trouble::server(format!("TLS with {host}: {error}")))?;
            ("wss", Box::new(stream))
        }
    };
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.clone(),
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
        .read_buffer_size(READ_BUFFER);
    let request = format!("{scheme}://{host}:{port}/");
    let opened = client_async_with_config(request, bytes, Some(config)).await;
    let (socket, _) =
        opened.map_err(|error| Trouble::server(format!("no WebSocket is served there: {error}")))?;
    Ok(socket)
}

async fn hear_hello(socket: &mut Socket) -> Result<Hello, Trouble> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text).map_err(|_| Trouble::odd("first message"));
            }
            Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(closed(None)),
        }
    }
}

fn closed(frame: Option<tungstenite::protocol::CloseFrame>) -> Trouble {
    match frame {
        Some(frame) if frame.code == CloseCode::Again => Trouble {
            outage: Outage::Stick,
            why: "the server's driver is not ready: it looks for its stick".into(),
        },
        _ => Trouble::server("the server closed the connection"),
    }
}

fn broken(error: &tungstenite::Error) -> Trouble {
    match error {
        tungstenite::Error::Io(error) => Trouble::server(error.to_string()),
        // Others may quote what they could not read.
        _ => Trouble::server("the connection broke"),
    }
}

struct Pump {
    socket: Socket,
    asked: mpsc::Receiver<Question>,
    say: broadcast::Sender<Heard>,
    clock: Clock,
    /// Who waits for which answer.
    waiting: BTreeMap<u64, oneshot::Sender<Utf8Bytes>>,
}

impl Pump {
    async fn run(mut self) -> Trouble {
        let clock = self.clock.clone();
        let mut ping_at = clock.now().mono + PING_EVERY;
        let mut heard = true;
        loop {
            tokio::select! {
                asked = self.asked.recv() => {
                    // Nobody can ask any more: nobody is there.
                    let Some(asked) = asked else { return Trouble::server("the connection is not used") };
                    self.waiting.retain(|_, answer| !answer.is_closed());
                    self.waiting.insert(asked.number, asked.answer);
                    if let Err(trouble) = self.send(Message::text(asked.text)).await {
                        return trouble;
                    }
                }
                message = self.socket.next() => {
                    heard = true;
                    let taken = match message {
                        Some(Ok(Message::Text(text))) => self.take(text),
                        Some(Ok(Message::Close(frame))) => Err(closed(frame)),
                        Some(Ok(_)) => Ok(()),
                        Some(Err(error)) => Err(broken(&error)),
                        None => Err(closed(None)),
                    };
                    if let Err(trouble) = taken {
                        return trouble;
                    }
                }
                () = clock.until(ping_at) => {
                    if !std::mem::take(&mut heard) {
                        return Trouble::server("the server gives no sign of life");
                    }
                    ping_at = clock.now().mono + PING_EVERY;
                    if let Err(trouble) = self.send(Message::Ping(Vec::new().into())).await {
                        return trouble;
                    }
                }
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Trouble> {
        match timeout(SEND_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(Trouble::server("the server takes nothing any more")),
        }
    }

    fn take(&mut self, text: Utf8Bytes) -> Result<(), Trouble> {
        let head: Head<'_> = serde_json::from_str(&text).map_err(|_| Trouble::odd("message"))?;
        match (head.kind.as_ref(), head.message_id, head.event) {
            ("result", Some(number), _) => {
                let waiting = number.parse().ok().and_then(|n: u64| self.waiting.remove(&n));
                if let Some(answer) = waiting {
                    // Who asked may have given up.
                    let _ = answer.send(text);
                }
                Ok(())
            }
            ("event", _, Some(event)) => match hear::meaning(&event) {
                // At once: the next command could go to another network.
                Some(Heard::Anew) => Err(Trouble {
                    outage: Outage::Stick,
                    why: "the server's driver began anew".into(),
                }),
                Some(heard) => {
                    // Nobody listens only when the connection is given up.
                    let _ = self.say.send(heard);
                    Ok(())
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// A future that is kept while others go on.
pub type Kept<T> = Pin<Box<dyn Future<Output = T> + Send>>;
