//! Locks on a Z-Wave network, through the server of Z-Wave JS: its driver speaks to the radio, and this
//! speaks to it over a WebSocket.
//!
//! ```text
//!   server ──> wire ──> hear ──> link ──> Fact          node   what a node is, and what it takes
//!          <── (Line) <── ask <── talk <── exchange     talk   one step, from first look to proof
//! ```
//!
//! [`Network::run`] connects, has the network described, and says which locks it met: they are found at run
//! time, and their ids come from the network and the number of the node. After every loss it begins
//! anew, with locks that speak over the new connection. Without a server, or a stick behind it, the radio is
//! away: no lock is asked, and none is blamed. What a lock was when it was interviewed to its end is remembered
//! over all connections, for as long as it is being interviewed anew.
//!
//! It refuses to keep codes, to choose slots, and to know schedules. No frame is ever logged: they hold PINs.

mod ask;
#[cfg(feature = "sim")]
mod fuzz;
mod hear;
mod link;
mod node;
mod talk;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast, mpsc};

use crate::clock::{Busy, Clock};
use crate::lock::{Device, Fact, Findings, Lock, Met, Report};
use crate::model::{Capabilities, DeviceId, Finding, Mono, Outage, RadioId, ReadBack, Step};
use ask::{At, Command, Interview, Options, Remote, ValueId};
use hear::Heard;
use link::{Connected, Kept, Line, Trouble, Unanswered};
use node::{COMMAND_WITHIN, Codes, Parts, Scheme};
use talk::Talk;

#[cfg(feature = "sim")]
pub use fuzz::understand;
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
/// after its stick has gone, so that one that still stands after them all may be used again.
const PROBE_PAUSES_S: [u64; 4] = [1, 2, 4, 8];
/// What a server could not say of a lock it is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(10);
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
        let mut known = Known::new();
        loop {
            let began = self.clock.now().mono;
            let Trouble { outage, why } = self.last(&mut known).await;
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
    async fn last(&self, known: &mut Known) -> Trouble {
        let connected = match link::connect(&self.address, self.clock.clone()).await {
            Ok(connected) => connected,
            Err(trouble) => return trouble,
        };
        let Connected {
            hello,
            line,
            mut heard,
            pump,
        } = connected;
        let session = async {
            let mut session = Session::begin(self, known, line, &hello).await?;
            session.go_on(&mut heard).await
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

/// A node that was interviewed to its end, and what it said of its codes.
type Described = (wire::Node, Codes);

/// Locks as they were when they were last interviewed to their end.
type Known = BTreeMap<DeviceId, Described>;

/// What a server says of a node and its codes, if it can say.
type Answered = (u16, Result<(wire::Node, Result<Codes, Unanswered>), Unanswered>);

/// What goes on over one connection.
struct Session<'a> {
    network: &'a Network,
    known: &'a mut Known,
    line: Line,
    unified: bool,
    home: u32,
    /// Nodes of the locks that were met. Who asks one holds this.
    locks: BTreeMap<u16, Arc<Mutex<()>>>,
    /// Nodes that are to be asked what they are, and from when on.
    to_ask: BTreeMap<u16, Mono>,
    /// How many words of each node there were since when.
    words: BTreeMap<u16, (Mono, u32)>,
    /// Looks at a stick that is away.
    probe: Option<Kept<()>>,
    notes: mpsc::UnboundedSender<Note>,
    noted: mpsc::UnboundedReceiver<Note>,
}

impl<'a> Session<'a> {
    /// Agrees on a schema, has the network described, and says what there is.
    async fn begin(
        network: &'a Network,
        known: &'a mut Known,
        line: Line,
        hello: &wire::Hello,
    ) -> Result<Session<'a>, Trouble> {
        let schema = agree(hello)?;
        let wire::Dump { controller, nodes } = listen(&line, schema).await?;
        let (notes, noted) = mpsc::unbounded_channel();
        let mut session = Session {
            network,
            known,
            unified: schema >= UNIFIED_SCHEMA,
            home: controller.home_id,
            locks: BTreeMap::new(),
            to_ask: BTreeMap::new(),
            words: BTreeMap::new(),
            probe: None,
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
        session.warn_of_rules(&nodes);
        let others = nodes
            .into_iter()
            .filter(|node| Some(node.node_id) != controller.own_node_id);
        session.meet_all(others.collect()).await;
        session.note_stick(hear::stick(controller.status));
        Ok(session)
    }

    /// Takes up a whole network. What may become a lock is still there.
    async fn meet_all(&mut self, nodes: Vec<wire::Node>) {
        let may_be = |node: &&wire::Node| node::is_lock(node) || !node::is_interviewed(node);
        let present = nodes.iter().filter(may_be).map(|node| self.id(node.node_id));
        let census = Fact::Census(radio(), present.collect());
        for node in nodes {
            let codes = describe(&self.line, self.unified, &node).await;
            self.learn(node, codes);
        }
        self.say(census);
    }

    /// Hears what happens, until nothing is heard any more.
    async fn go_on(
        &mut self,
        heard: &mut broadcast::Receiver<Heard>,
    ) -> Result<std::convert::Infallible, Trouble> {
        let clock = self.network.clock.clone();
        let mut asking: Option<(u16, Kept<Answered>)> = None;
        loop {
            let next = self.to_ask.iter().min_by_key(|(_, due)| **due);
            let next = next.map(|(node, due)| (*node, *due)).filter(|_| asking.is_none());
            tokio::select! {
                heard = heard.recv() => match heard {
                    Ok(heard) => {
                        self.take(heard);
                        // What it said while it was there is nothing to go by.
                        asking.take_if(|(node, _)| heard == Heard::Gone(*node));
                    }
                    Err(RecvError::Lagged(_)) => self.look_again(),
                    // The end of the connection says why.
                    Err(RecvError::Closed) => std::future::pending().await,
                },
                (node, answer) = over(asking.as_mut().map(|(_, kept)| kept)) => {
                    asking = None;
                    self.take_answer(node, answer);
                }
                () = clock.until(next.map_or(Mono(u64::MAX), |(_, due)| due)), if next.is_some() => {
                    if let Some((node, _)) = next {
                        self.to_ask.remove(&node);
                        asking = Some((node, Box::pin(ask_again(self.line.clone(), self.unified, node))));
                    }
                }
                Some(note) = self.noted.recv() => match note {
                    Note::StickAway => self.note_stick(Some(Outage::Stick)),
                    Note::Masked(node) => self.note_mask(node),
                },
                () = over(self.probe.as_mut()) => self.note_stick(None),
            }
        }
    }

    /// Takes up what was heard.
    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Gone(node) => {
                self.locks.remove(&node);
                self.to_ask.remove(&node);
                self.words.remove(&node);
                self.known.remove(&self.id(node));
                self.say(Fact::Removed(self.id(node)));
            }
            Heard::Stick(outage) => self.note_stick(outage),
            Heard::Changed(node) => {
                if self.may_speak(node) {
                    self.to_ask.insert(node, self.network.clock.now().mono);
                }
            }
            // Who asks it finds out by itself: the driver blames a lock for what its stick lost, too.
            Heard::Dead(node)
                if self
                    .locks
                    .get(&node)
                    .is_some_and(|asked| asked.try_lock().is_err()) => {}
            Heard::Dead(node) | Heard::Alive(node) | Heard::Says { node, .. } => {
                if self.locks.contains_key(&node) && self.may_speak(node) {
                    self.pass_on(self.id(node), heard);
                }
            }
            // The connection ends with it.
            Heard::Anew => {}
        }
    }

    /// Says what a lock says.
    fn pass_on(&self, device: DeviceId, heard: Heard) {
        match heard {
            Heard::Dead(_) => self.say(Fact::Lost(device)),
            Heard::Alive(_) => self.say(Fact::Heard(device)),
            Heard::Says { word, unasked, .. } => {
                if unasked {
                    self.say(Fact::Heard(device));
                }
                self.say(Fact::Told(device, word));
            }
            Heard::Changed(_) | Heard::Gone(_) | Heard::Stick(_) | Heard::Anew => {}
        }
    }

    /// Some of what happened was lost: every lock is asked how it is.
    fn look_again(&mut self) {
        tracing::warn!(
            "more happens on the Z-Wave network than can be heard; its locks are asked how they are"
        );
        let now = self.network.clock.now().mono;
        self.to_ask.extend(self.locks.keys().map(|node| (*node, now)));
    }

    /// Takes up what the server said of a node that it was asked for.
    fn take_answer(
        &mut self,
        node: u16,
        answer: Result<(wire::Node, Result<Codes, Unanswered>), Unanswered>,
    ) {
        match answer {
            Ok((node, codes)) => self.learn(node, codes),
            // It left.
            Err(why) if why.is_unknown_node() => {}
            Err(_) => self.ask_later(node),
        }
    }

    fn ask_later(&mut self, node: u16) {
        let due = self.network.clock.now().mono + ASK_AGAIN;
        self.to_ask.entry(node).or_insert(due);
    }

    /// Takes up what the server says of a node.
    fn learn(&mut self, mut node: wire::Node, codes: Result<Codes, Unanswered>) {
        let (id, number) = (self.id(node.node_id), node.node_id);
        let before = self.known.get(&id).cloned();
        match (node::is_interviewed(&node), node::is_lock(&node), codes) {
            (false, is_lock, _) => match before {
                Some((before, codes)) => self.meet(&node::interviewed_anew(&before, &node), &codes),
                None if is_lock => {
                    warn_of_interview(&node);
                    self.meet(&node, &Codes::default());
                }
                // Whether it is a lock will be seen.
                None => {}
            },
            (true, false, _) => {}
            (true, true, Ok(codes)) => {
                // Not every mask is among its values.
                node.values.masked |= before.is_some_and(|(before, _)| before.values.masked);
                self.meet(&node, &codes);
                self.known.insert(id, (node, codes));
            }
            (true, true, Err(why)) => {
                tracing::warn!(
                    node = number,
                    why = why.word(),
                    "the Z-Wave server did not say which codes a lock takes"
                );
                self.ask_later(number);
                if !self.locks.contains_key(&number) {
                    let codes = before.map(|(_, codes)| codes).unwrap_or_default();
                    self.meet(&node, &codes);
                }
            }
        }
    }

    /// Says that there is this lock, and how it is.
    fn meet(&mut self, node: &wire::Node, codes: &Codes) {
        self.introduce(node, codes);
        let device = self.id(node.node_id);
        for word in hear::state(&node.values) {
            self.say(Fact::Told(device, word));
        }
        match node.status {
            Some(3) => self.say(Fact::Lost(device)),
            Some(2 | 4) => self.say(Fact::Heard(device)),
            _ => {}
        }
    }

    /// Says that there is this lock.
    fn introduce(&mut self, node: &wire::Node, codes: &Codes) {
        let rules = node::rules_for(&self.network.rules, self.home, node);
        let lock = ZwaveLock {
            node: node.node_id,
            parts: node::parts(node, codes),
            capabilities: node::capabilities(node, codes, rules),
            line: self.line.clone(),
            notes: self.notes.clone(),
            found_masked: AtomicBool::new(false),
            asked: self.locks.entry(node.node_id).or_default().clone(),
        };
        let open = Device {
            name: node::name(node, rules),
            radio: radio(),
            lock: Arc::new(lock),
            sim: None,
        };
        self.say(Fact::Met(Met {
            device: self.id(node.node_id),
            driver: DRIVER,
            open,
        }));
    }

    /// A lock shows no digits, which its values had not shown yet.
    fn note_mask(&mut self, node: u16) {
        if let Some((mut known, codes)) = self.known.remove(&self.id(node)) {
            known.values.masked = true;
            self.introduce(&known, &codes);
            self.known.insert(self.id(node), (known, codes));
        }
    }

    /// The stick went away, and is looked at until it answers or may be tried again; or it is there.
    fn note_stick(&mut self, outage: Option<Outage>) {
        let (line, clock) = (&self.line, &self.network.clock);
        self.probe = outage.map(|_| match self.probe.take() {
            Some(probe) => probe,
            None => Box::pin(probe_stick(line.clone(), clock.clone())),
        });
        self.say(Fact::Radio(radio(), outage));
    }

    /// A lock that floods is heard no more than the others; how it is in the end it is asked.
    fn may_speak(&mut self, node: u16) -> bool {
        let now = self.network.clock.now().mono;
        let (since, said) = self.words.entry(node).or_insert((now, 0));
        if now >= *since + WORDS_PER {
            (*since, *said) = (now, 0);
        }
        *said = said.saturating_add(1);
        let (said, over) = (*said, *since + WORDS_PER);
        if said == MOST_WORDS + 1 {
            tracing::warn!(
                node,
                "a lock says more than any door does; it is not heard for a while"
            );
        }
        if said > MOST_WORDS {
            self.to_ask.entry(node).or_insert(over);
        }
        said <= MOST_WORDS
    }

    fn warn_of_rules(&self, nodes: &[wire::Node]) {
        for (nth, rules) in self.network.rules.iter().enumerate() {
            let fits = |rules: &Rules, node: &wire::Node| {
                node::rules_for(std::slice::from_ref(rules), self.home, node).is_some()
            };
            let Some(node) = nodes.iter().find(|node| fits(rules, node)) else {
                tracing::warn!(lock = %rules.which, "[[zwave.lock]] names a lock that the network does not have");
                continue;
            };
            let before = self.network.rules.iter().take(nth);
            if let Some(first) = before.into_iter().find(|first| fits(first, node)) {
                tracing::warn!(
                    lock = %rules.which, first = %first.which,
                    "two [[zwave.lock]] name the same lock; the first counts"
                );
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

/// Agrees on a schema, and has the network described; from here on what happens is heard.
async fn listen(line: &Line, schema_version: u32) -> Result<wire::Dump, Trouble> {
    let schema = Command::SetApiSchema { schema_version };
    let _: wire::Nothing = done(line, "schema", &schema).await?;
    let interview = Interview {
        query_all_user_codes: true,
    };
    let keep = Command::UpdateOptions {
        options: Options { interview },
    };
    // Before the driver meets one more lock: by default it would erase its codes.
    let _: wire::Nothing = done(line, "setting of interview.queryAllUserCodes", &keep).await?;
    let told: wire::Listening = done(line, "description of the network", &Command::StartListening).await?;
    Ok(told.state)
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
async fn describe(line: &Line, unified: bool, node: &wire::Node) -> Result<Codes, Unanswered> {
    let node_id = node.node_id;
    let parts = node::parts(node, &Codes::default());
    let Some((endpoint, scheme)) = parts.codes.filter(|_| node::is_interviewed(node)) else {
        return Ok(Codes::default());
    };
    if !unified && matches!(scheme, Scheme::UserCredential(_)) {
        tracing::warn!(
            node = node_id,
            schema = UNIFIED_SCHEMA,
            "the Z-Wave server is too old for the codes of this lock: update it to one that speaks this schema"
        );
        return Ok(Codes {
            old_server: true,
            ..Codes::default()
        });
    }
    let at = At { node_id, endpoint };
    let value = |property| Command::GetValue {
        node_id,
        value_id: ValueId {
            command_class: wire::class::USER_CODE,
            endpoint,
            property,
            property_key: None,
        },
    };
    let characters: wire::Remembered<String> =
        line.ask(&value("supportedASCIIChars"), COMMAND_WITHIN).await?;
    let characters = characters.value;
    if unified {
        let told: wire::Supported = line.ask(&Command::IsSupported(at), COMMAND_WITHIN).await?;
        if told.supported {
            let users: wire::Capabilities<wire::UserCapabilities> =
                line.ask(&Command::UserCapabilities(at), COMMAND_WITHIN).await?;
            let kinds: wire::Capabilities<wire::CredentialCapabilities> = line
                .ask(&Command::CredentialCapabilities(at), COMMAND_WITHIN)
                .await?;
            return Ok(node::codes_of(
                users.capabilities,
                &kinds.capabilities,
                characters.as_deref(),
            ));
        }
    }
    let users: wire::Remembered<u16> = line.ask(&value("supportedUsers"), COMMAND_WITHIN).await?;
    Ok(node::user_codes(users.value, characters.as_deref()))
}

/// Asks the server anew what a node is.
async fn ask_again(line: Line, unified: bool, node_id: u16) -> Answered {
    let told = line.ask(&Command::GetState { node_id }, COMMAND_WITHIN).await;
    let answer = match told.map(|told: wire::NodeState| told.state) {
        Ok(node) => {
            let codes = describe(&line, unified, &node).await;
            Ok((node, codes))
        }
        Err(why) => Err(why),
    };
    (node_id, answer)
}

/// Returns once the stick answers again, or so late that the server would have closed the connection of
/// a stick that is gone.
async fn probe_stick(line: Line, clock: Clock) {
    for span in PROBE_PAUSES_S.into_iter().map(Duration::from_secs) {
        clock.sleep(span).await;
        if ask::answers(&line).await {
            return;
        }
    }
}

/// What is under way comes to; never, if nothing is.
async fn over<T>(kept: Option<&mut Kept<T>>) -> T {
    match kept {
        Some(kept) => kept.await,
        None => std::future::pending().await,
    }
}

/// A lock of the network, as long as a connection lasts.
struct ZwaveLock {
    node: u16,
    parts: Parts,
    capabilities: Capabilities,
    line: Line,
    notes: mpsc::UnboundedSender<Note>,
    found_masked: AtomicBool,
    asked: Arc<Mutex<()>>,
}

impl ZwaveLock {
    fn note(&self, note: Note) {
        // Once its session has ended, what the lock noticed says nothing of the next one.
        let _ = self.notes.send(note);
    }
}

impl Lock for ZwaveLock {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn exchange<'a>(&'a self, steps: &'a [Step], busy: &'a Busy) -> Findings<'a> {
        Box::pin(async move {
            let _asked = self.asked.lock().await;
            let stick_is_away = || self.note(Note::StickAway);
            let remote = Remote {
                line: &self.line,
                node: self.node,
                parts: self.parts,
                busy,
                stick_is_away: &stick_is_away,
            };
            let mut talk = Talk::new(&remote, &self.capabilities);
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
