//! What the real server says only on rare days, by one of which every word is scripted: another network behind the
//! same connection, a stick that a lock holds up, floods, answers that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lockbridge::clock::Clock;
use lockbridge::lock::zwave::{Address, Network, Tls, device_id};
use lockbridge::lock::{Fact, Lock};
use lockbridge::model::{
    Closed, CodeId, Content, DeviceId, Finding, How, Objection, Outage, Pin, Slot, Step, Voucher, Window,
    Word,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::papers::{Authority, Papers};

const HOME: u32 = 0x7e57_0001;
const NODE: u16 = 5;
/// Nothing here takes longer than this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server says, and what it was asked.
struct Script {
    home: u32,
    /// Of the stick.
    status: u8,
    schema: u32,
    nodes: Vec<Value>,
    /// A node as it is when it is asked for alone, if not as above.
    later: Option<Value>,
    /// Errors of the driver by command, each so many times.
    errors: BTreeMap<&'static str, (u32, usize)>,
    /// Events that come before the answer to a command.
    before: BTreeMap<&'static str, Vec<Value>>,
    asked: Vec<String>,
    /// Told of every question.
    turn: watch::Sender<()>,
    connections: usize,
    /// The codes of the lock.
    slots: BTreeMap<u64, String>,
    /// The lock answers a ping, and is alive then by the driver's word.
    responds: bool,
}

/// A server, and a driver that speaks to it.
struct Stage {
    script: Arc<Mutex<Script>>,
    events: broadcast::Sender<Value>,
    facts: mpsc::UnboundedReceiver<Fact>,
    clock: Clock,
    /// Ends with the stage.
    _tasks: tokio::task::JoinSet<()>,
}

impl Stage {
    async fn new(change: impl FnOnce(&mut Script)) -> Stage {
        Stage::over(change, None).await
    }

    /// `tls` are the server's and the driver's sides of it.
    #[allow(
        clippy::disallowed_methods,
        reason = "a server and a driver of the test's own"
    )]
    async fn over(change: impl FnOnce(&mut Script), tls: Option<(TlsAcceptor, Tls)>) -> Stage {
        let mut script = Script {
            home: HOME,
            status: 0,
            schema: 50,
            nodes: vec![lock()],
            later: None,
            errors: BTreeMap::new(),
            before: BTreeMap::new(),
            asked: Vec::new(),
            turn: watch::Sender::new(()),
            connections: 0,
            slots: BTreeMap::new(),
            responds: false,
        };
        change(&mut script);
        let script = Arc::new(Mutex::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (events, _) = broadcast::channel(1024);
        let (acceptor, tls) = tls.unzip();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve(listener, acceptor, Arc::clone(&script), events.clone()));
        let (say, facts) = mpsc::unbounded_channel();
        let clock = Clock::real(Voucher::System);
        let network = Network {
            address: Address {
                host: "127.0.0.1".into(),
                port,
                tls,
            },
            rules: Vec::new(),
            backoff_max: Duration::from_millis(10),
            clock: clock.clone(),
            report: Arc::new(move |fact| drop(say.send(fact))),
        };
        tasks.spawn(async move { network.run(7).await });
        Stage {
            script,
            events,
            facts,
            clock,
            _tasks: tasks,
        }
    }

    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.script.lock().unwrap())
    }

    /// Waits until it was asked this so often.
    async fn asked(&self, word: &str, times: usize) {
        let mut turn = self.script(|script| script.turn.subscribe());
        let often = |script: &mut Script| script.asked.iter().filter(|asked| *asked == word).count();
        let wait = async {
            while self.script(often) < times {
                turn.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("it was not asked {times} times: {word}"));
    }

    fn happens(&self, event: Value) {
        self.events
            .send(json!({"type": "event", "event": event}))
            .unwrap();
    }

    /// The first fact that is taken.
    async fn fact<T>(&mut self, take: impl Fn(Fact) -> Option<T>) -> T {
        let search = async {
            loop {
                let fact = self.facts.recv().await.expect("the driver goes on");
                if let Some(taken) = take(fact) {
                    return taken;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.expect("what was waited for never came")
    }

    async fn met(&mut self) -> (DeviceId, String, Arc<dyn Lock>) {
        self.fact(|fact| match fact {
            Fact::Met(met) => Some((met.device, met.open.name, met.open.lock)),
            _ => None,
        })
        .await
    }

    async fn radio(&mut self) -> Option<Outage> {
        self.fact(|fact| match fact {
            Fact::Radio(_, outage) => Some(outage),
            _ => None,
        })
        .await
    }

    async fn census(&mut self) -> BTreeSet<DeviceId> {
        self.fact(|fact| match fact {
            Fact::Census(_, present) => Some(present),
            _ => None,
        })
        .await
    }

    /// A lock that was met, over a radio that is there.
    async fn ready(&mut self) -> Arc<dyn Lock> {
        let (_, _, lock) = self.met().await;
        assert_eq!(self.radio().await, None);
        lock
    }

    async fn asks(&self, lock: &Arc<dyn Lock>, step: Step) -> Finding {
        let busy = self.clock.busy();
        let found = lock.exchange(std::slice::from_ref(&step), &busy).await;
        found.into_iter().next().unwrap()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    script: Arc<Mutex<Script>>,
    events: broadcast::Sender<Value>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        match &acceptor {
            None => speak(stream, &script, events.subscribe()).await,
            Some(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) => speak(stream, &script, events.subscribe()).await,
                Err(_) => continue,
            },
        }
    }
}

/// One connection, until the driver gives it up.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    script: &Mutex<Script>,
    mut events: broadcast::Receiver<Value>,
) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let hello = {
        let mut script = script.lock().unwrap();
        script.connections += 1;
        json!({"type": "version", "homeId": script.home, "driverVersion": "15.29.0", "serverVersion": "3.10.2",
               "minSchemaVersion": 0, "maxSchemaVersion": script.schema})
    };
    let mut to_say = vec![hello];
    loop {
        for message in to_say.drain(..) {
            if socket.send(Message::text(message.to_string())).await.is_err() {
                return;
            }
        }
        tokio::select! {
            event = events.recv() => match event {
                // The end of the connection, of no other's.
                Ok(event) if event["event"]["event"] == "hang up" => return,
                Ok(event) => to_say.push(event),
                Err(_) => return,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let asked: Value = serde_json::from_str(&text).unwrap();
                    to_say = answer(&mut script.lock().unwrap(), &asked);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

fn answer(script: &mut Script, asked: &Value) -> Vec<Value> {
    let command = asked["command"].as_str().unwrap();
    let word = match command {
        "endpoint.invoke_cc_api" => asked["methodName"].as_str().unwrap(),
        other => other.rsplit('.').next().unwrap(),
    };
    script.asked.push(word.to_owned());
    script.turn.send_replace(());
    let mut said = script.before.remove(word).unwrap_or_default();
    let number = &asked["messageId"];
    if let Some((code, left)) = script.errors.get_mut(word).filter(|(_, left)| *left > 0) {
        *left -= 1;
        said.push(
            json!({"type": "result", "success": false, "messageId": number, "errorCode": "zwave_error",
                         "zwaveErrorCode": code, "zwaveErrorMessage": "it did not come about"}),
        );
        return said;
    }
    let slot = asked["args"][0].as_u64().unwrap_or(0);
    let result = match word {
        "start_listening" => json!({"state": {"driver": {}, "nodes": script.nodes,
            "controller": {"homeId": script.home, "ownNodeId": 1, "status": script.status}}}),
        "get_state" => {
            let is_it = |node: &&Value| node["nodeId"] == asked["nodeId"];
            let among = script.nodes.iter().find(is_it);
            json!({"state": script.later.as_ref().or(among)})
        }
        "ping" => {
            if script.responds {
                said.push(json!({"type": "event", "event": is("alive")}));
            }
            json!({"responded": script.responds})
        }
        "get_value" if asked["valueId"]["property"] == "supportedUsers" => json!({"value": 30}),
        "is_supported" => json!({"supported": true}),
        "get_user_capabilities_cached" => json!({"capabilities": {"maxUsers": 30}}),
        "get_credential_capabilities_cached" => json!({"capabilities": {"supportedCredentialTypes": {"1":
            {"numberOfCredentialSlots": 30, "minCredentialLength": 4, "maxCredentialLength": 10}}}}),
        "get_all_credentials_cached" => json!({"credentials": []}),
        "get" => match script.slots.get(&slot) {
            Some(code) => json!({"response": {"userIdStatus": 1, "userCode": code}}),
            None => json!({"response": {"userIdStatus": 0}}),
        },
        "set" => {
            let code = asked["args"][2].as_str().unwrap();
            script.slots.insert(slot, code.to_owned());
            json!({})
        }
        "clear" => {
            assert!(slot > 0, "it erases all");
            script.slots.remove(&slot);
            json!({})
        }
        "set_credential" => {
            let code = asked["data"].as_str().unwrap();
            script
                .slots
                .insert(asked["credentialSlot"].as_u64().unwrap(), code.to_owned());
            json!({"result": 0})
        }
        _ => json!({}),
    };
    said.push(json!({"type": "result", "success": true, "messageId": number, "result": result}));
    said
}

/// A lock with User Code.
fn lock() -> Value {
    json!({"nodeId": NODE, "status": 4, "ready": true, "interviewStage": "Complete", "highestSecurityClass": 2,
           "name": "Suite", "location": "First floor",
           "endpoints": [{"index": 0, "deviceClass": {"generic": {"key": 64}},
                          "commandClasses": [{"id": 98}, {"id": 99}]}],
           "values": [{"endpoint": 0, "commandClass": 98, "property": "currentMode", "value": 255}]})
}

/// The same after the driver lost what it knew.
fn unborn() -> Value {
    json!({"nodeId": NODE, "status": 0, "ready": false, "interviewStage": "ProtocolInfo", "endpoints": [],
           "values": []})
}

fn bolt(mode: u8, before: u8) -> Value {
    json!({"type": "event", "event": {"source": "node", "event": "value updated", "nodeId": NODE, "args":
        {"commandClass": 98, "endpoint": 0, "property": "currentMode", "newValue": mode, "prevValue": before}}})
}

/// A node is so by the driver's word.
fn is(word: &str) -> Value {
    json!({"source": "node", "event": word, "nodeId": NODE})
}

fn put() -> Step {
    Step::Put {
        code: CodeId(Uuid::nil()),
        generation: 1,
        slot: Slot(3),
        content: Content {
            pin: Pin::parse("4711").unwrap(),
            name: None,
            window: Window::Ongoing,
        },
        stale: Vec::new(),
    }
}

fn remove() -> Step {
    Step::Remove {
        code: CodeId(Uuid::nil()),
        generation: 1,
        slot: Slot(3),
        pins: vec![Pin::parse("4711").unwrap()],
    }
}

/// Else whoever follows events would be told of an outage at every start.
#[tokio::test]
async fn a_start_with_the_server_there_says_nothing_of_an_outage() {
    let mut stage = Stage::new(|_| {}).await;
    assert_eq!(stage.radio().await, None);
}

/// I6: what is behind the server may change without the connection; codes go to no lock of another network.
#[tokio::test]
async fn another_network_behind_the_same_server_has_other_locks() {
    let mut stage = Stage::new(|_| {}).await;
    let old = stage.ready().await;
    stage.script(|script| script.home = HOME + 1);
    stage.happens(json!({"source": "driver", "event": "driver ready"}));
    assert_eq!(stage.radio().await, Some(Outage::Stick));
    let (device, _, _) = stage.met().await;
    assert_eq!(device, device_id(HOME + 1, NODE));
    assert_eq!(stage.census().await, [device].into());
    stage.script(|script| script.asked.clear());
    assert_eq!(stage.asks(&old, put()).await, Finding::Untried);
    assert_eq!(stage.script(|script| script.asked.clone()), [""; 0]);
}

/// I11: a driver that lost what it knew of a lock still has it; it is asked nothing until it is known again.
#[tokio::test]
async fn a_lock_that_is_interviewed_anew_waits_under_its_name() {
    let mut stage = Stage::new(|_| {}).await;
    let (device, name, _) = stage.met().await;
    stage.script(|script| script.nodes = vec![unborn()]);
    stage.happens(json!({"source": "test", "event": "hang up"}));
    let (again, same, lock) = stage.met().await;
    assert_eq!((again, same), (device, name));
    assert_eq!(lock.capabilities().closed, Some(Closed::NotInterviewed));
    assert_eq!(stage.census().await, [device].into());
    stage.script(|script| script.asked.clear());
    for step in [put(), remove(), Step::Read] {
        assert_eq!(stage.asks(&lock, step).await, Finding::Untried);
    }
    assert_eq!(stage.script(|script| script.asked.clone()), [""; 0]);
    stage.script(|script| script.nodes = vec![self::lock()]);
    stage.happens(json!({"source": "node", "event": "ready", "nodeId": NODE}));
    let (_, _, lock) = stage.met().await;
    assert_eq!(lock.capabilities().closed, None);
}

/// I11, I12: a stick that answers is not away; the lock that holds it up is to blame.
#[tokio::test]
async fn a_lock_that_holds_up_the_stick_is_told_from_a_stick_that_is_away() {
    let mut stage = Stage::new(|_| {}).await;
    let lock = stage.ready().await;
    for error in [200, 203] {
        stage.script(|script| script.errors.insert("get", (error, 1)));
        assert_eq!(stage.asks(&lock, put()).await, Finding::Unanswered, "{error}");
    }
    stage.script(|script| script.errors.insert("get", (322, 1)));
    assert_eq!(stage.asks(&lock, put()).await, Finding::Refused(Objection::Other));
    for error in [202, 205, 206] {
        stage.script(|script| script.errors.insert("get", (error, 1)));
        let expected = match error {
            // Dropped behind a command that was not acknowledged.
            202 => Finding::Unanswered,
            _ => Finding::Untried,
        };
        assert_eq!(stage.asks(&lock, put()).await, expected, "{error}");
    }
    // None of this was the stick's; the next word of it is.
    for error in [200, 322] {
        stage.script(|script| {
            script.errors.insert("get", (error, 1));
            script.errors.insert("get_background_rssi", (200, 1));
        });
        assert_eq!(stage.asks(&lock, put()).await, Finding::Untried, "{error}");
        assert_eq!(stage.radio().await, Some(Outage::Stick));
        assert_eq!(stage.radio().await, None, "it is looked at until it answers");
    }
}

/// I11, I12: the driver blames a lock for what its stick lost, too; one that answers a ping is not silent.
#[tokio::test]
async fn a_lock_that_the_driver_takes_for_dead_is_asked_whether_it_is() {
    let mut stage = Stage::new(|_| {}).await;
    let lock = stage.ready().await;
    let is_there = |fact| match fact {
        Fact::Heard(_) => Some(true),
        Fact::Lost(_) => Some(false),
        _ => None,
    };
    for (responds, finding) in [(true, Finding::Untried), (false, Finding::Unanswered)] {
        stage.script(|script| {
            script.responds = responds;
            script
                .before
                .insert("get", vec![json!({"type": "event", "event": is("dead")})]);
            script.errors.insert("get", (200, 1));
        });
        assert_eq!(stage.asks(&lock, put()).await, finding);
        if responds {
            assert!(stage.fact(is_there).await);
        }
    }
    // What comes of an exchange is its own; somebody else asked the lock here.
    stage.happens(is("dead"));
    assert!(!stage.fact(is_there).await);
}

/// I11: a stick that is away by its own word is looked at until it may be tried again; jammed, it is not away.
#[tokio::test]
async fn a_stick_that_is_away_has_a_way_back() {
    let mut stage = Stage::new(|script| script.status = 1).await;
    stage.met().await;
    assert_eq!(stage.radio().await, Some(Outage::Stick));
    assert_eq!(stage.radio().await, None);
    stage.happens(json!({"source": "controller", "event": "status changed", "status": 2}));
    assert_eq!(stage.radio().await, None);
    stage.script(|script| script.errors.insert("get_background_rssi", (200, usize::MAX)));
    stage.happens(json!({"source": "controller", "event": "status changed", "status": 1}));
    assert_eq!(stage.radio().await, Some(Outage::Stick));
    for look in 1..=4 {
        // Its pauses are of the driver's clock, and none is longer.
        stage
            .clock
            .jump_to(stage.clock.now().mono + Duration::from_secs(8));
        stage.asked("get_background_rssi", 1 + look).await;
    }
    assert_eq!(stage.radio().await, None, "the next command tells");
}

/// I11: what floods is cut short, and nobody loses the connection over it; how a lock is in the end is asked.
#[tokio::test]
async fn a_flood_costs_nobody_the_connection() {
    let statistics = json!({"type": "event", "event": {"source": "node", "event": "statistics updated",
        "nodeId": NODE, "statistics": {"commandsTX": 1}}});
    let mut flood = vec![statistics; 3000];
    flood.extend(vec![bolt(255, 0); 600]);
    let mut stage = Stage::new(|script| {
        script.before.insert("get_credential_capabilities_cached", flood);
        let mut unlocked = self::lock();
        unlocked["values"][0]["value"] = json!(0);
        script.later = Some(unlocked);
    })
    .await;
    let lock = stage.ready().await;
    let unlocked = |fact| match fact {
        Fact::Told(_, Word::Bolt(Some(false))) => Some(()),
        _ => None,
    };
    // Much of that was lost before anybody listened.
    stage.fact(unlocked).await;
    for _ in 0..100 {
        stage.happens(bolt(255, 0)["event"].clone());
    }
    // After all of it, in its order.
    stage.happens(json!({"source": "controller", "event": "status changed", "status": 0}));
    stage.radio().await;
    stage
        .clock
        .jump_to(stage.clock.now().mono + Duration::from_secs(61));
    stage.fact(unlocked).await;
    assert_eq!(stage.script(|script| script.connections), 1);
    assert_eq!(stage.asks(&lock, put()).await, Finding::Proven(How::ReadBack));
}

/// What a server cannot say yet is not nothing.
#[tokio::test]
async fn what_the_server_cannot_say_is_asked_again() {
    let mut stage = Stage::new(|script| {
        script
            .errors
            .insert("get_credential_capabilities_cached", (103, 1));
    })
    .await;
    let lock = stage.ready().await;
    assert_eq!(lock.capabilities().closed, Some(Closed::NotInterviewed));
    stage
        .clock
        .jump_to(stage.clock.now().mono + Duration::from_secs(11));
    let (_, _, lock) = stage.met().await;
    assert_eq!(
        (lock.capabilities().closed, lock.capabilities().capacity),
        (None, 30)
    );
    // A lock that was known keeps what it said.
    stage.script(|script| {
        let errors = &mut script.errors;
        errors.insert("get_credential_capabilities_cached", (103, 1))
    });
    stage.happens(json!({"source": "test", "event": "hang up"}));
    let (_, _, lock) = stage.met().await;
    assert_eq!(
        (lock.capabilities().closed, lock.capabilities().capacity),
        (None, 30)
    );
}

/// A lock that left is gone, and one that joins is there.
#[tokio::test]
async fn locks_leave_and_join() {
    let mut stage = Stage::new(|_| {}).await;
    stage.ready().await;
    stage.happens(
        json!({"source": "controller", "event": "node removed", "node": {"nodeId": NODE}, "reason": 0}),
    );
    let removed = |fact| match fact {
        Fact::Removed(device) => Some(device),
        _ => None,
    };
    assert_eq!(stage.fact(removed).await, device_id(HOME, NODE));
    stage.happens(
        json!({"source": "controller", "event": "node added", "node": {"nodeId": NODE}, "result": {}}),
    );
    stage.met().await;
    stage.script(|script| script.nodes[0]["name"] = json!("Attic"));
    stage.happens(
        json!({"source": "node", "event": "value updated", "nodeId": NODE, "args":
        {"commandClass": 119, "property": "name", "newValue": "Attic", "prevValue": "Suite"}}),
    );
    let (_, name, _) = stage.met().await;
    assert_eq!(name, "Attic, First floor");
}

/// I7: without the unified commands codes are set, looked at and cleared by User Code itself.
#[tokio::test]
async fn a_server_without_the_unified_commands() {
    let mut stage = Stage::new(|script| script.schema = 47).await;
    let lock = stage.ready().await;
    assert_eq!(lock.capabilities().capacity, 30);
    assert_eq!(stage.asks(&lock, put()).await, Finding::Proven(How::ReadBack));
    let held = stage.script(|script| script.slots.clone());
    assert_eq!(held, [(3, "4711".to_owned())].into());
    assert_eq!(stage.asks(&lock, remove()).await, Finding::Proven(How::ReadBack));
    assert!(stage.script(|script| script.slots.is_empty()));
    let unified = |word: &String| word.contains("credential") || word == "is_supported";
    assert!(!stage.script(|script| script.asked.iter().any(unified)));
}

/// I8: over wss:// PINs go only to a server for which somebody vouches.
#[tokio::test]
async fn a_server_behind_tls() {
    let (papers, authority) = (Papers::new(), Authority::new());
    let files = authority.issue(&["127.0.0.1"]).into_files(&papers, "server");
    let clock = Clock::real(Voucher::System);
    let acceptor = || {
        let identity = lockbridge::config::Identity {
            cert: files.cert.clone(),
            key: files.key.clone(),
        };
        TlsAcceptor::from(Arc::new(lockbridge::tls::server(&identity, &clock).unwrap()))
    };
    let vouched = |by: &Authority, name: &str| -> Tls {
        let tls = lockbridge::config::ClientTls {
            ca: papers.file(name, &by.pem),
            identity: None,
        };
        let clock = clock.clone();
        Arc::new(move || lockbridge::tls::client(&tls, &clock).map_err(|error| error.to_string()))
    };
    let known = vouched(&authority, "known.pem");
    let mut stage = Stage::over(|_| {}, Some((acceptor(), known))).await;
    let lock = stage.ready().await;
    assert_eq!(stage.asks(&lock, remove()).await, Finding::Proven(How::ReadBack));
    let other = vouched(&Authority::new(), "other.pem");
    let mut stage = Stage::over(|_| {}, Some((acceptor(), other))).await;
    for _ in 0..3 {
        assert_eq!(stage.radio().await, Some(Outage::Server));
    }
    assert_eq!(stage.script(|script| script.connections), 0);
}
