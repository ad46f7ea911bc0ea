//! Locks on a Z-Wave network, through the server of Z-Wave JS: its driver speaks to the radio, and this
//! speaks to it over a WebSocket.
//!
//! ```text
//!   server ──> link ──> wire ──> hear ──> Fact          node   what a node is, and what it takes
//!          <── (Line) <── ask <── talk <── exchange     talk   one step, from first look to proof
//! ```
//!
//! [`Network::run`] connects, has the network described, and says which locks it met: they are found at run
//! time, and their ids come from the network and the number of the node. After every loss it begins
//! anew, with locks that speak over the new connection. Without a server, or a stick behind it, the radio is
//! away: no lock is asked, and none is blamed.
//!
//! It refuses to keep codes, to choose slots, and to know schedules. No frame is ever logged: they hold PINs.

mod ask;
mod hear;
mod link;
mod node;
mod talk;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;

use crate::clock::{Busy, Clock};
use crate::lock::{Device, Fact, Findings, Lock, Met, Report};
use crate::model::{Capabilities, DeviceId, Finding, Mono, Outage, RadioId, ReadBack, Step};
use ask::{Asked, At, Command, Interview, Options, ValueId};
use hear::Heard;
use link::{Connected, Kept, Line, Trouble, Unanswered};
use node::{COMMAND_WITHIN, Codes, Parts};
use talk::{Failed, Talk};

pub use link::{Address, Tls};
pub use node::{Rules, Which, device_id};

/// The word for this driver.
pub const DRIVER: &str = "zwave";
/// The oldest schema of messages that is understood, and the newest.
const OLDEST_SCHEMA: u32 = 47;
const NEWEST_SCHEMA: u32 = 50;
/// From this one on the server has the unified commands for codes.
const UNIFIED_SCHEMA: u32 = 48;
/// Shortest pause between two attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that held so long was a good one.
const STABLE: Duration = Duration::from_secs(60);
/// Pauses between two looks at a stick that did not answer, in seconds. The server closes its connections some 12 s
/// after its stick has gone.
const PROBE_PAUSES_S: [u64; 4] = [1, 2, 4, 8];
/// What one lock may say by itself in a minute: more than any door moves.
const MOST_WORDS: u32 = 60;
const WORDS_PER: Duration = Duration::from_secs(60);

/// The radio that all locks of the network share.
#[must_use]
pub fn radio() -> RadioId {
    RadioId(DRIVER.to_owned())
}

/// A network, and what is known of it beforehand.
pub struct Network {
    /// Its server.
    pub address: Address,
    /// What the operator knows of its locks.
    pub rules: Vec<Rules>,
    /// Longest pause between two attempts to connect.
    pub backoff_max: Duration,
    /// The gateway's clock.
    pub clock: Clock,
    /// Where everything is said.
    pub report: Report,
}

impl Network {
    /// Connects, and again after every loss; never ends. `seed` spreads the pauses.
    pub async fn run(&self, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut failures = 0_u32;
        loop {
            let began = self.clock.now().mono;
            let Trouble { outage, why } = self.last().await;
            (self.report)(Fact::Radio(radio(), Some(outage)));
            failures = match self.clock.now().mono >= began + STABLE {
                true => 1,
                false => failures.saturating_add(1),
            };
            let pause = (SHORTEST_PAUSE * (1 << failures.saturating_sub(1).min(12))).min(self.backoff_max);
            let pause = pause.mul_f64(0.5 + rng.random::<f64>() / 2.0);
            tracing::warn!(%why, ?pause, "no connection to the Z-Wave server; trying again");
            self.clock.sleep(pause).await;
        }
    }

    /// Connects, and lasts until the connection ends.
    async fn last(&self) -> Trouble {
        let connected = match link::connect(&self.address, self.clock.clone()).await {
            Ok(connected) => connected,
            Err(trouble) => return trouble,
        };
        let Connected {
            hello,
            line,
            mut events,
            pump,
        } = connected;
        let session = async {
            let mut session = Session::begin(self, line, &hello).await?;
            session.go_on(&mut events).await
        };
        tokio::select! {
            trouble = pump => trouble,
            Err(trouble) = session => trouble,
        }
    }
}

/// What a lock has noticed while it was asked.
enum Note {
    /// The stick does not answer.
    StickAway,
    /// It shows no digits.
    Masked(u16),
}

/// A node that was asked what it is.
type Described = (wire::Node, Codes);

/// What goes on over one connection.
struct Session<'a> {
    network: &'a Network,
    line: Line,
    unified: bool,
    home: u32,
    locks: BTreeMap<u16, Described>,
    /// How many words of each node there were since when.
    words: BTreeMap<u16, (Mono, u32)>,
    notes: mpsc::UnboundedSender<Note>,
    noted: mpsc::UnboundedReceiver<Note>,
}

impl<'a> Session<'a> {
    /// Agrees on a schema, has the network described, and says what there is.
    async fn begin(network: &'a Network, line: Line, hello: &wire::Hello) -> Result<Session<'a>, Trouble> {
        let schema = agree(hello)?;
        let _: wire::Nothing = done(
            &line,
            "schema",
            &Command::SetApiSchema {
                schema_version: schema,
            },
        )
        .await?;
        let keep = Options {
            interview: Interview {
                query_all_user_codes: true,
            },
        };
        // Before the driver meets one more lock: by default it would erase its codes.
        let _: wire::Nothing = done(
            &line,
            "setting of interview.queryAllUserCodes",
            &Command::UpdateOptions { options: keep },
        )
        .await?;
        let told: wire::Listening =
            done(&line, "description of the network", &Command::StartListening).await?;
        let wire::Dump { controller, nodes } = told.state;
        let (notes, noted) = mpsc::unbounded_channel();
        let mut session = Session {
            network,
            unified: schema >= UNIFIED_SCHEMA,
            home: controller.home_id,
            locks: BTreeMap::new(),
            words: BTreeMap::new(),
            line,
            notes,
            noted,
        };
        tracing::info!(
            server = hello.server_version,
            driver = hello.driver_version,
            schema,
            home = %format_args!("{:08x}", session.home),
            nodes = nodes.len(),
            "connected to the Z-Wave server"
        );
        let own = controller.own_node_id;
        let present: BTreeSet<DeviceId> = nodes
            .iter()
            .filter(|node| Some(node.node_id) != own)
            .filter(|node| node::is_lock(node) || !node::is_interviewed(node))
            .map(|node| session.id(node.node_id))
            .collect();
        session.warn_of_rules_without_lock(&nodes);
        for node in nodes {
            if Some(node.node_id) != own && node::is_lock(&node) {
                if !node::is_interviewed(&node) {
                    warn_of_interview(&node);
                }
                let codes = describe(&session.line, session.unified, &node).await;
                session.meet(node, codes);
            }
        }
        session.say(Fact::Census(radio(), present));
        session.say(Fact::Radio(radio(), stick(controller.status)));
        Ok(session)
    }

    /// Hears what happens, until nothing is heard any more.
    async fn go_on(
        &mut self,
        events: &mut mpsc::Receiver<wire::Event>,
    ) -> Result<std::convert::Infallible, Trouble> {
        let mut asking: FuturesUnordered<Kept<'_, Option<Described>>> = FuturesUnordered::new();
        let mut probing: Option<Kept<'_, ()>> = None;
        loop {
            let probe = async {
                match &mut probing {
                    Some(probe) => probe.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { std::future::pending().await };
                    if let Some(changed) = hear::meaning(&event).and_then(|heard| self.take(heard)) {
                        asking.push(Box::pin(ask_again(self.line.clone(), self.unified, changed)));
                    }
                }
                Some(described) = asking.next() => {
                    if let Some((node, codes)) = described.filter(|(node, _)| node::is_lock(node)) {
                        self.meet(node, codes);
                    }
                }
                Some(note) = self.noted.recv() => match note {
                    Note::StickAway if probing.is_none() => {
                        probing = Some(Box::pin(probe_stick(self.line.clone(), self.network.clock.clone())));
                    }
                    Note::StickAway => {}
                    Note::Masked(node) => {
                        if let Some((mut node, codes)) = self.locks.remove(&node) {
                            node.values.masked = true;
                            self.meet(node, codes);
                        }
                    }
                },
                () = probe => {
                    probing = None;
                    self.say(Fact::Radio(radio(), None));
                }
            }
        }
    }

    /// Takes up what was heard; returns a node that is to be asked what it is.
    fn take(&mut self, heard: Heard) -> Option<u16> {
        match heard {
            Heard::Dead(node) if self.locks.contains_key(&node) => self.say(Fact::Lost(self.id(node))),
            Heard::Alive(node) if self.locks.contains_key(&node) => self.say(Fact::Heard(self.id(node))),
            Heard::Says { node, word, unasked } if self.locks.contains_key(&node) => {
                if self.may_speak(node) {
                    if unasked {
                        self.say(Fact::Heard(self.id(node)));
                    }
                    self.say(Fact::Told(self.id(node), word));
                }
            }
            Heard::Dead(_) | Heard::Alive(_) | Heard::Says { .. } => {}
            Heard::Changed(node) => return Some(node),
            Heard::Gone(node) => {
                if self.locks.remove(&node).is_some() {
                    self.say(Fact::Removed(self.id(node)));
                }
            }
            Heard::Stick(outage) => self.say(Fact::Radio(radio(), outage)),
        }
        None
    }

    /// Says that there is this lock, and how it is.
    fn meet(&mut self, node: wire::Node, codes: Codes) {
        let rules = node::rules_for(&self.network.rules, self.home, &node);
        let device = self.id(node.node_id);
        let lock = ZwaveLock {
            node: node.node_id,
            parts: node::parts(&node, &codes),
            capabilities: node::capabilities(&node, &codes, rules),
            line: self.line.clone(),
            notes: self.notes.clone(),
            report: Arc::clone(&self.network.report),
            found_masked: AtomicBool::new(false),
        };
        let open = Device {
            name: node::name(&node, rules),
            radio: radio(),
            lock: Arc::new(lock),
            sim: None,
        };
        self.say(Fact::Met(Met {
            device,
            driver: DRIVER,
            open,
        }));
        for word in hear::state(&node.values) {
            self.say(Fact::Told(device, word));
        }
        match node.status {
            Some(3) => self.say(Fact::Lost(device)),
            Some(2 | 4) => self.say(Fact::Heard(device)),
            _ => {}
        }
        self.locks.insert(node.node_id, (node, codes));
    }

    /// A lock that floods is heard no more than the others.
    fn may_speak(&mut self, node: u16) -> bool {
        let now = self.network.clock.now().mono;
        let (since, said) = self.words.entry(node).or_insert((now, 0));
        if now >= *since + WORDS_PER {
            (*since, *said) = (now, 0);
        }
        *said = said.saturating_add(1);
        if *said == MOST_WORDS + 1 {
            tracing::warn!(
                node,
                "a lock says more than any door does; it is not heard for a while"
            );
        }
        *said <= MOST_WORDS
    }

    fn warn_of_rules_without_lock(&self, nodes: &[wire::Node]) {
        for rules in &self.network.rules {
            let alone = std::slice::from_ref(rules);
            let fits = |node: &wire::Node| node::rules_for(alone, self.home, node).is_some();
            if !nodes.iter().any(fits) {
                tracing::warn!(lock = %rules.which, "[[zwave.lock]] names a lock that the network does not have");
            }
        }
    }

    fn id(&self, node: u16) -> DeviceId {
        device_id(self.home, node)
    }

    fn say(&self, fact: Fact) {
        (self.network.report)(fact);
    }
}

/// The schema that both sides know.
fn agree(hello: &wire::Hello) -> Result<u32, Trouble> {
    let (oldest, newest) = (hello.min_schema_version, hello.max_schema_version);
    if newest < OLDEST_SCHEMA || oldest > NEWEST_SCHEMA {
        let server = &hello.server_version;
        return Err(Trouble {
            outage: Outage::Server,
            why: format!(
                "the server, version {server}, speaks schemas {oldest} to {newest}, and this gateway {OLDEST_SCHEMA} to \
                 {NEWEST_SCHEMA}: update the older of the two"
            ),
        });
    }
    Ok(newest.min(NEWEST_SCHEMA))
}

fn stick(status: u8) -> Option<Outage> {
    (status != 0).then_some(Outage::Stick)
}

fn warn_of_interview(node: &wire::Node) {
    tracing::warn!(
        node = node.node_id,
        "the Z-Wave driver has not met this lock to the end. If it is its first time, and its config does not say \
         interview.queryAllUserCodes, it erases the lock's codes: see docs/zwave.md"
    );
}

/// The answer to a command without which nothing goes on.
async fn done<R: serde::de::DeserializeOwned>(
    line: &Line,
    what: &str,
    command: &Command<'_>,
) -> Result<R, Trouble> {
    line.ask(command, COMMAND_WITHIN)
        .await
        .map_err(|unanswered| match unanswered {
            Unanswered::Odd => Trouble::odd(what),
            Unanswered::Gone | Unanswered::Late => Trouble {
                outage: Outage::Server,
                why: format!("the server did not answer: {what}"),
            },
            Unanswered::Error { why, .. } => Trouble {
                outage: Outage::Server,
                why: format!("the server refuses the {what}: {why}"),
            },
        })
}

/// What the server says of a node's codes. Asks no node.
async fn describe(line: &Line, unified: bool, node: &wire::Node) -> Codes {
    let node_id = node.node_id;
    let parts = node::parts(node, &Codes::default());
    let Some((endpoint, _)) = parts.codes.filter(|_| node::is_interviewed(node)) else {
        return Codes::default();
    };
    let at = At { node_id, endpoint };
    let value = |property| Command::GetValue {
        node_id,
        value_id: ValueId {
            command_class: wire::class::USER_CODE,
            endpoint,
            property,
        },
    };
    let characters = line.ask(&value("supportedASCIIChars"), COMMAND_WITHIN).await;
    let characters = characters
        .ok()
        .and_then(|known: wire::Remembered<String>| known.value);
    if unified {
        let supported = line.ask(&Command::IsSupported(at), COMMAND_WITHIN).await;
        if supported.is_ok_and(|told: wire::Supported| told.supported) {
            let kinds = line
                .ask(&Command::CredentialCapabilities(at), COMMAND_WITHIN)
                .await;
            if let Ok(kinds) = kinds.map(|told: wire::Capabilities| told.capabilities) {
                return node::codes_of(&kinds, characters.as_deref());
            }
        }
    }
    let users = line.ask(&value("supportedUsers"), COMMAND_WITHIN).await;
    let users = users.ok().and_then(|known: wire::Remembered<u16>| known.value);
    node::user_codes(users, characters.as_deref())
}

/// Asks the server anew what a node is.
async fn ask_again(line: Line, unified: bool, node_id: u16) -> Option<Described> {
    let state = line.ask(&Command::GetState { node_id }, COMMAND_WITHIN).await;
    let told: wire::NodeState = state.ok()?;
    let codes = describe(&line, unified, &told.state).await;
    Some((told.state, codes))
}

/// Returns once the stick answers again, or so late that the server would have closed the connection of
/// a stick that is gone. Not every stick can be asked.
async fn probe_stick(line: Line, clock: Clock) {
    let mut pauses = PROBE_PAUSES_S.into_iter().map(Duration::from_secs);
    let mut pause = pauses.next();
    while let Some(span) = pause {
        clock.sleep(span).await;
        let noise: Result<wire::Nothing, Unanswered> =
            line.ask(&Command::BackgroundNoise, COMMAND_WITHIN).await;
        match noise.as_ref().err().map(ask::failure) {
            None => return,
            Some(Failed::Away | Failed::Silent) => pause = pauses.next().or(pause),
            Some(Failed::Refused(_)) => pause = pauses.next(),
        }
    }
}

/// A lock of the network, as long as a connection lasts.
struct ZwaveLock {
    node: u16,
    parts: Parts,
    capabilities: Capabilities,
    line: Line,
    notes: mpsc::UnboundedSender<Note>,
    report: Report,
    found_masked: AtomicBool,
}

impl ZwaveLock {
    /// The core hears it before it hears what came of the exchange, and blames nobody.
    fn stick_is_away(&self) {
        (self.report)(Fact::Radio(radio(), Some(Outage::Stick)));
        self.note(Note::StickAway);
    }

    fn note(&self, note: Note) {
        // With its session the whole lock is replaced.
        let _ = self.notes.send(note);
    }
}

impl Lock for ZwaveLock {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn exchange<'a>(&'a self, steps: &'a [Step], busy: &'a Busy) -> Findings<'a> {
        Box::pin(async move {
            let stick_is_away = || self.stick_is_away();
            let asked = Asked {
                line: &self.line,
                node: self.node,
                parts: self.parts,
                busy,
                stick_is_away: &stick_is_away,
            };
            let mut talk = Talk::new(&asked, &self.capabilities);
            let mut findings = vec![Finding::Untried; steps.len()];
            for (step, finding) in steps.iter().zip(&mut findings) {
                *finding = talk.carry_out(step).await;
                if matches!(finding, Finding::Unanswered | Finding::Cut | Finding::Untried) {
                    break;
                }
            }
            let is_news = talk.masked && self.capabilities.read_back == ReadBack::Full;
            if is_news && !self.found_masked.swap(true, Ordering::Relaxed) {
                self.note(Note::Masked(self.node));
            }
            findings
        })
    }
}

#[cfg(test)]
mod tests;
