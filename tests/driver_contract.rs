//! What every driver promises, whatever the lock: one suite, run over each kind of simulated lock, and over
//! mocked Z-Wave locks behind the real driver and server of Z-Wave JS.
//!
//! A new family joins by a [`Bench`] of its own: a lock to talk to, and a way to look behind it.

#[path = "nuki/bench.rs"]
mod nuki;

use std::collections::BTreeMap;
use std::slice::from_ref as only;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lockbridge::clock::Clock;
use lockbridge::lock::sim::{ByHand, Fault, FaultKind, Setup, SimDriver};
use lockbridge::lock::zwave::{Address, Network, Rules, Which};
use lockbridge::lock::{Fact, Lock};
use lockbridge::model::Voucher;
use lockbridge::model::{
    Addressing, Alphabet, Capabilities, CodeId, Content, DeviceId, Entry, Finding, How, NativeWindow,
    Objection, Pin, ReadBack, Slot, Step, Timestamp, Window,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

#[path = "mqtt/broker.rs"]
mod broker;
mod common;
#[path = "zwave/net.rs"]
#[allow(dead_code, reason = "shared with the tests of a whole gateway")]
mod net;

/// A lock on the bench, and hands upon it.
trait Bench {
    fn lock(&self) -> &dyn Lock;
    /// The clock that the lock's driver goes by.
    fn clock(&self) -> &Clock;
    /// What the lock really holds.
    fn truth(&self) -> Vec<Entry>;
    /// Somebody adds a code at the door.
    fn stranger_adds(&self, slot: Slot, pin: &Pin);
    fn trouble(&self, trouble: Trouble);
    /// Whether the lock says neither yes nor no: what it claims and does not do then looks like what it refuses.
    fn is_terse(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It neither does nor says anything.
    Deaf,
    /// It does what it is asked, and is not heard.
    Mute,
    /// It says yes, and does nothing.
    Liar,
    /// It says no to every change.
    Stubborn,
    Away,
    Over,
}

struct SimBench {
    clock: Clock,
    driver: Arc<SimDriver>,
    _folder: tempfile::TempDir,
}

impl SimBench {
    fn new(profile: &str) -> SimBench {
        let mut setup = Setup::profile(profile).unwrap();
        setup.latency = Duration::ZERO;
        setup.silence_after = Duration::from_millis(1);
        setup.capabilities.patience = Duration::from_millis(3);
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::real(Voucher::System);
        let device = DeviceId(Uuid::from_u128(7));
        let driver = SimDriver::open(device, setup, folder.path(), clock.clone(), Arc::new(|_| {})).unwrap();
        SimBench {
            clock,
            driver: Arc::new(driver),
            _folder: folder,
        }
    }
}

impl Bench for SimBench {
    fn lock(&self) -> &dyn Lock {
        &*self.driver
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn truth(&self) -> Vec<Entry> {
        self.driver.table()
    }

    fn stranger_adds(&self, slot: Slot, pin: &Pin) {
        let code = pin.clone();
        let added = self.driver.by_hand(&ByHand::Add {
            slot: Some(slot),
            code,
        });
        assert_eq!(added, Ok(slot));
    }

    fn trouble(&self, trouble: Trouble) {
        let kind = match trouble {
            Trouble::Deaf => FaultKind::Hang,
            Trouble::Mute => FaultKind::Silent,
            Trouble::Liar => FaultKind::NoStore,
            Trouble::Stubborn => FaultKind::Refuse,
            Trouble::Away => return self.driver.disconnect(),
            Trouble::Over => {
                self.driver.connect();
                FaultKind::None
            }
        };
        self.driver.fault(Fault {
            kind,
            count: None,
            for_s: None,
            after_s: None,
        });
    }
}

async fn ask<const N: usize>(bench: &dyn Bench, steps: [Step; N]) -> [Finding; N] {
    let busy = bench.clock().busy();
    bench.lock().exchange(&steps, &busy).await.try_into().unwrap()
}

fn put(slot: u16, content: &Content, stale: &[&Pin]) -> Step {
    Step::Put {
        code: CodeId(Uuid::from_u128(u128::from(slot))),
        generation: 1,
        slot: Slot(slot),
        content: content.clone(),
        stale: stale.iter().copied().cloned().collect(),
    }
}

fn remove(slot: u16, pins: &[&Pin]) -> Step {
    Step::Remove {
        code: CodeId(Uuid::from_u128(u128::from(slot))),
        generation: 1,
        slot: Slot(slot),
        pins: pins.iter().copied().cloned().collect(),
    }
}

/// PINs that the lock takes, all different.
fn pins(lock: &Capabilities) -> impl Iterator<Item = Pin> + '_ {
    let digits = lock.alphabet.digits();
    let length = lock.lengths.first().copied().unwrap();
    (1usize..).filter_map(move |n| {
        let mut rest = n * 7919;
        let mut pin = Vec::new();
        for _ in 0..length {
            pin.push(digits[rest % digits.len()]);
            rest /= digits.len();
        }
        Pin::from_digits(&pin).filter(|pin| lock.takes(pin).is_ok())
    })
}

fn some<const N: usize>(lock: &Capabilities) -> [Pin; N] {
    let some: Vec<Pin> = pins(lock).take(N).collect();
    some.try_into().unwrap()
}

/// A code as the lock can hold it.
fn content(lock: &Capabilities, pin: &Pin) -> Content {
    Content {
        pin: pin.clone(),
        name: (lock.name_limit > 0).then(|| "Ada".to_owned()),
        window: match lock.window {
            NativeWindow::None => Window::Ongoing,
            _ => Window::between(Timestamp(60_000), Timestamp(120_000)).unwrap(),
        },
    }
}

fn proof(lock: &Capabilities) -> Finding {
    Finding::Proven(match lock.read_back {
        ReadBack::Full => How::ReadBack,
        ReadBack::Masked | ReadBack::None => How::Acknowledged,
    })
}

fn proof_of_absence(lock: &Capabilities) -> Finding {
    Finding::Proven(match lock.read_back {
        ReadBack::Full | ReadBack::Masked => How::ReadBack,
        ReadBack::None => How::Acknowledged,
    })
}

fn held(bench: &dyn Bench) -> Vec<Pin> {
    bench.truth().into_iter().filter_map(|entry| entry.pin).collect()
}

async fn what_is_put_is_proven_and_shows(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin] = some(lock);
    let content = content(lock, &pin);
    let [done, read] = ask(bench, [put(3, &content, &[]), Step::Read]).await;
    assert_eq!(done, proof(lock));
    let truth = bench.truth();
    assert_eq!(held(bench), only(&pin));
    let Finding::Table(table) = read else {
        assert_eq!(
            (lock.read_back, read),
            (ReadBack::None, Finding::Refused(Objection::Other))
        );
        return;
    };
    assert_eq!(table.len(), 1);
    assert_eq!(table[0].slot, truth[0].slot);
    match lock.read_back {
        ReadBack::Full => {
            assert_eq!(table[0].pin, Some(content.pin));
            assert_eq!((&table[0].name, table[0].window), (&content.name, content.window));
        }
        _ => assert_eq!(table[0].pin, None),
    }
    if lock.addressing == Addressing::Chosen {
        assert_eq!(table[0].slot, Slot(3));
    }
}

async fn put_again_is_no_second_entry(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin] = some(lock);
    let content = content(lock, &pin);
    for stale in [&[][..], &[&pin][..], &[&pin][..]] {
        assert_eq!(ask(bench, [put(3, &content, stale)]).await, [proof(lock)]);
        assert_eq!(held(bench), only(&pin));
    }
}

async fn a_change_leaves_only_the_new(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [old, older, new] = some(lock);
    let before = content(lock, &old);
    assert_eq!(ask(bench, [put(3, &before, &[])]).await, [proof(lock)]);
    let mut moved = before.clone();
    if lock.window != NativeWindow::None {
        moved.window = Window::between(Timestamp(60_000), Timestamp(240_000)).unwrap();
    }
    assert_eq!(ask(bench, [put(3, &moved, &[&old])]).await, [proof(lock)]);
    assert_eq!(
        bench.truth().iter().map(|entry| entry.window).collect::<Vec<_>>(),
        [moved.window]
    );
    let after = content(lock, &new);
    assert_eq!(ask(bench, [put(3, &after, &[&older, &old])]).await, [proof(lock)]);
    assert_eq!(held(bench), only(&new));
    if lock.addressing == Addressing::GivenByLock {
        // A second entry of the same code, as a write leaves that was never heard confirmed.
        assert_eq!(ask(bench, [put(4, &before, &[])]).await, [proof(lock)]);
        assert_eq!(
            ask(bench, [put(3, &after, &[&older, &old, &new])]).await,
            [proof(lock)]
        );
        assert_eq!(held(bench), only(&new));
    }
}

async fn what_is_removed_is_gone_and_absence_is_proven(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin, other, third] = some(lock);
    let gone = proof_of_absence(lock);
    assert_eq!(ask(bench, [remove(3, &[&pin])]).await, only(&gone));
    let steps = [
        put(3, &content(lock, &pin), &[]),
        put(4, &content(lock, &other), &[]),
    ];
    assert_eq!(ask(bench, steps).await, [proof(lock), proof(lock)]);
    assert_eq!(ask(bench, [remove(3, &[&third, &pin])]).await, only(&gone));
    assert_eq!(held(bench), only(&other));
    assert_eq!(ask(bench, [remove(3, &[&third, &pin])]).await, only(&gone));
    assert_eq!(held(bench), only(&other));
}

async fn a_strangers_code_is_not_touched(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [ours, theirs, old] = some(lock);
    bench.stranger_adds(Slot(3), &theirs);
    let before = bench.truth();
    // What was never asked to hold our code holds somebody else's, digits shown or not.
    if lock.read_back != ReadBack::None && lock.addressing == Addressing::Chosen {
        let [taken] = ask(bench, [put(3, &content(lock, &ours), &[])]).await;
        assert_eq!(taken, Finding::Refused(Objection::SlotTaken));
        let [nothing] = ask(bench, [remove(3, &[])]).await;
        assert!(matches!(nothing, Finding::Proven(_)));
        assert_eq!(bench.truth(), before);
    }
    // Once it was asked, no driver can tell whose a code is that shows no digits.
    if lock.read_back == ReadBack::Full {
        let [taken] = ask(bench, [put(3, &content(lock, &ours), &[&old])]).await;
        match lock.addressing {
            Addressing::Chosen => assert_eq!(taken, Finding::Refused(Objection::SlotTaken)),
            Addressing::GivenByLock => assert_eq!(taken, proof(lock)),
        }
        let [gone] = ask(bench, [remove(3, &[&ours, &old])]).await;
        assert_eq!(gone, Finding::Proven(How::ReadBack));
        assert_eq!(bench.truth(), before);
    }
    for stale in [&[][..], &[&old][..]] {
        let [twice] = ask(bench, [put(5, &content(lock, &theirs), stale)]).await;
        let reason = match bench.is_terse() {
            true => Objection::Other,
            false => Objection::Duplicate,
        };
        assert_eq!(twice, Finding::Refused(reason));
    }
    assert_eq!(bench.truth(), before);
}

async fn a_full_lock_says_so(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let mut pins = pins(lock);
    for slot in 1..=lock.capacity {
        bench.stranger_adds(Slot(slot), &pins.next().unwrap());
    }
    let content = content(lock, &pins.next().unwrap());
    let [full] = ask(bench, [put(lock.capacity + 1, &content, &[])]).await;
    assert_eq!(full, Finding::Refused(Objection::Full));
    assert_eq!(bench.truth().len(), usize::from(lock.capacity));
}

async fn silence_is_told_as_silence(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [first, second] = some(lock);
    let (first, second) = (content(lock, &first), content(lock, &second));
    for trouble in [Trouble::Deaf, Trouble::Mute, Trouble::Away] {
        bench.trouble(trouble);
        let steps = [put(3, &first, &[]), put(4, &second, &[]), Step::Read];
        let expected = [Finding::Unanswered, Finding::Untried, Finding::Untried];
        assert_eq!(ask(bench, steps).await, expected, "{trouble:?}");
        assert_eq!(
            ask(bench, [Step::Read]).await,
            [Finding::Unanswered],
            "{trouble:?}"
        );
        // Whatever it did in silence, the next attempt comes to the same end.
        bench.trouble(Trouble::Over);
        assert_eq!(
            ask(bench, [put(3, &first, &[&first.pin])]).await,
            [proof(lock)],
            "{trouble:?}"
        );
        assert_eq!(held(bench), only(&first.pin), "{trouble:?}");
        bench.trouble(trouble);
        let steps = [remove(3, &[&first.pin]), Step::Read];
        assert_eq!(
            ask(bench, steps).await,
            [Finding::Unanswered, Finding::Untried],
            "{trouble:?}"
        );
        bench.trouble(Trouble::Over);
        let steps = [remove(3, &[&first.pin])];
        assert_eq!(ask(bench, steps).await, [proof_of_absence(lock)], "{trouble:?}");
        assert_eq!(held(bench), [], "{trouble:?}");
    }
}

async fn silence_proves_nothing_even_where_nothing_is_to_do(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin, other] = some(lock);
    let content = content(lock, &pin);
    assert_eq!(ask(bench, [put(3, &content, &[])]).await, [proof(lock)]);
    bench.trouble(Trouble::Mute);
    assert_eq!(
        ask(bench, [put(3, &content, &[&pin])]).await,
        [Finding::Unanswered]
    );
    assert_eq!(ask(bench, [remove(4, &[&other])]).await, [Finding::Unanswered]);
}

async fn a_lie_is_found_out_by_reading(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin, new] = some(lock);
    let changed = content(lock, &new);
    let content = content(lock, &pin);
    bench.trouble(Trouble::Liar);
    let [said] = ask(bench, [put(3, &content, &[])]).await;
    // A lock that cannot be read is believed; the receipt says on what word.
    let expected = |proof: Finding| match lock.read_back {
        ReadBack::None => proof,
        _ if bench.is_terse() => Finding::Refused(Objection::Other),
        _ => Finding::Denied,
    };
    assert_eq!(said, expected(proof(lock)));
    assert_eq!(held(bench), []);
    bench.trouble(Trouble::Over);
    assert_eq!(ask(bench, [put(3, &content, &[&pin])]).await, [proof(lock)]);
    bench.trouble(Trouble::Liar);
    assert_eq!(
        ask(bench, [put(3, &changed, &[&pin])]).await,
        [expected(proof(lock))]
    );
    assert_eq!(
        ask(bench, [remove(3, &[&pin])]).await,
        [expected(proof_of_absence(lock))]
    );
    assert_eq!(held(bench), only(&pin));
}

async fn a_no_is_told_and_what_is_so_already_needs_no_yes(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin, new] = some(lock);
    let before = content(lock, &pin);
    assert_eq!(ask(bench, [put(3, &before, &[])]).await, [proof(lock)]);
    bench.trouble(Trouble::Stubborn);
    let no = Finding::Refused(Objection::Other);
    assert_eq!(
        ask(bench, [put(3, &content(lock, &new), &[&pin])]).await,
        only(&no)
    );
    assert_eq!(ask(bench, [remove(3, &[&pin])]).await, only(&no));
    assert_eq!(held(bench), only(&pin));
    if lock.read_back == ReadBack::Full {
        assert_eq!(ask(bench, [put(3, &before, &[&pin])]).await, [proof(lock)]);
    }
    if lock.read_back != ReadBack::None {
        assert_eq!(ask(bench, [remove(4, &[&new])]).await, [proof_of_absence(lock)]);
    }
}

async fn digits_that_the_lock_does_not_take_are_refused(bench: &dyn Bench) {
    let lock = bench.lock().capabilities();
    let [pin] = some(lock);
    let longest = usize::from(lock.lengths.last().copied().unwrap());
    let mut wrong = vec![pin.expose().repeat(3)[..longest + 1].to_owned()];
    if lock.alphabet == Alphabet::NO_ZERO {
        wrong.push(format!("{}0", &pin.expose()[1..]));
    }
    wrong.extend(
        lock.forbidden_prefixes
            .iter()
            .map(|prefix| format!("{prefix}{}", &pin.expose()[prefix.len()..])),
    );
    for digits in wrong {
        let content = content(lock, &Pin::parse(&digits).unwrap());
        let [said] = ask(bench, [put(3, &content, &[])]).await;
        assert!(matches!(said, Finding::Refused(_)), "{digits} -> {said:?}");
        assert_eq!(held(bench), []);
    }
}

async fn contract(make: impl Fn() -> Box<dyn Bench>) {
    what_is_put_is_proven_and_shows(&*make()).await;
    put_again_is_no_second_entry(&*make()).await;
    a_change_leaves_only_the_new(&*make()).await;
    what_is_removed_is_gone_and_absence_is_proven(&*make()).await;
    a_strangers_code_is_not_touched(&*make()).await;
    a_full_lock_says_so(&*make()).await;
    silence_is_told_as_silence(&*make()).await;
    silence_proves_nothing_even_where_nothing_is_to_do(&*make()).await;
    a_lie_is_found_out_by_reading(&*make()).await;
    a_no_is_told_and_what_is_so_already_needs_no_yes(&*make()).await;
    digits_that_the_lock_does_not_take_are_refused(&*make()).await;
}

#[tokio::test]
async fn sim_slots() {
    contract(|| Box::new(SimBench::new("slots"))).await;
}

#[tokio::test]
async fn sim_fixed_8() {
    contract(|| Box::new(SimBench::new("fixed-8"))).await;
}

#[tokio::test]
async fn sim_keypad_6() {
    contract(|| Box::new(SimBench::new("keypad-6"))).await;
}

#[tokio::test]
async fn sim_masked() {
    contract(|| Box::new(SimBench::new("masked"))).await;
}

#[tokio::test]
async fn sim_write_only() {
    contract(|| Box::new(SimBench::new("write-only"))).await;
}

/// A lock of a Z-Wave network.
struct ZwaveBench {
    net: Arc<net::Net>,
    node: u16,
    clock: Clock,
    lock: Arc<dyn Lock>,
}

impl ZwaveBench {
    /// The same lock, empty and well.
    fn new(net: &Arc<net::Net>, node: u16, clock: &Clock, lock: &Arc<dyn Lock>) -> ZwaveBench {
        net.fault(node, "none");
        for (slot, _) in net.table(node) {
            net.by_hand(node, "remove", u16::try_from(slot).unwrap(), None);
        }
        ZwaveBench {
            net: Arc::clone(net),
            node,
            clock: clock.clone(),
            lock: Arc::clone(lock),
        }
    }
}

impl Bench for ZwaveBench {
    fn lock(&self) -> &dyn Lock {
        &*self.lock
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn truth(&self) -> Vec<Entry> {
        let entry = |(slot, code): (u64, String)| Entry {
            slot: Slot(u16::try_from(slot).unwrap()),
            pin: Pin::parse(&code),
            name: None,
            window: Window::Ongoing,
        };
        self.net.table(self.node).into_iter().map(entry).collect()
    }

    fn stranger_adds(&self, slot: Slot, pin: &Pin) {
        self.net.by_hand(self.node, "add", slot.0, Some(pin.expose()));
    }

    fn trouble(&self, trouble: Trouble) {
        let kind = match trouble {
            Trouble::Deaf | Trouble::Away => return self.net.dead_for(self.node, 50),
            Trouble::Mute => "mute",
            Trouble::Liar => "ignore",
            Trouble::Stubborn => "refuse",
            Trouble::Over => "none",
        };
        self.net.fault(self.node, kind);
    }

    fn is_terse(&self) -> bool {
        self.node == 3
    }
}

/// The network of a server, and what is heard of it.
fn network(port: u16, clock: &Clock) -> (Network, mpsc::UnboundedReceiver<Fact>) {
    let (say, heard) = mpsc::unbounded_channel();
    let network = Network {
        address: Address {
            host: "127.0.0.1".into(),
            port,
            tls: None,
        },
        rules: vec![Rules {
            which: Which::Node(3),
            name: None,
            lengths: None,
            alphabet: None,
            slots: None,
            reserved: Default::default(),
            // An empty lock has not shown it yet.
            read_back: Some(ReadBack::Masked),
            allow_unsecured: false,
        }],
        backoff_max: Duration::from_secs(1),
        clock: clock.clone(),
        report: Arc::new(move |fact| drop(say.send(fact))),
    };
    (network, heard)
}

/// Its locks, once all are met.
async fn locks(heard: &mut mpsc::UnboundedReceiver<Fact>) -> BTreeMap<DeviceId, Arc<dyn Lock>> {
    let mut locks = BTreeMap::new();
    loop {
        match heard.recv().await.expect("the network goes on") {
            Fact::Met(met) => drop(locks.insert(met.device, met.open.lock)),
            Fact::Radio(_, None) => return locks,
            _ => {}
        }
    }
}

/// Passes everything on to a server and back, as if it were one without the unified commands.
async fn older_server(listener: TcpListener, port: u16) {
    let (near, _) = listener.accept().await.unwrap();
    let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut near = tokio_tungstenite::accept_async(near).await.unwrap();
    let url = format!("ws://127.0.0.1:{port}/");
    let (mut far, _) = tokio_tungstenite::client_async(url, far).await.unwrap();
    let newest = |said: Message| match said {
        Message::Text(text) => {
            Message::text(text.replace("\"maxSchemaVersion\":50", "\"maxSchemaVersion\":47"))
        }
        other => other,
    };
    loop {
        let passed = tokio::select! {
            Some(Ok(asked)) = near.next() => far.send(asked).await,
            Some(Ok(said)) = far.next() => near.send(newest(said)).await,
            else => return,
        };
        passed.unwrap();
    }
}

/// The contract with one lock of a network of its own.
async fn zwave_contract(node: u16, server: Server) {
    #[allow(clippy::disallowed_methods, reason = "networks start side by side")]
    let net = tokio::task::spawn_blocking(|| net::Net::start(&["--report-timeout", "2000"])).await;
    let net = Arc::new(net.unwrap());
    let clock = Clock::real(Voucher::System);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = match server {
        Server::New => net.port,
        Server::Old => listener.local_addr().unwrap().port(),
    };
    let (network, mut heard) = network(port, &clock);
    let judge = async {
        let locks = locks(&mut heard).await;
        let lock = &locks[&DeviceId(net.id(node).parse().unwrap())];
        contract(|| Box::new(ZwaveBench::new(&net, node, &clock, lock))).await;
    };
    tokio::select! {
        () = network.run(7) => unreachable!("it tries for ever"),
        () = older_server(listener, net.port) => unreachable!("nobody hangs up"),
        () = judge => {}
    }
}

enum Server {
    New,
    /// Without the unified commands.
    Old,
}

/// Masked, User Credential, User Code with Supervision; and masked once more, over an older server. All at once: most
/// of it is waiting for answers that do not come.
#[tokio::test]
async fn zwave() {
    tokio::join!(
        zwave_contract(3, Server::New),
        zwave_contract(5, Server::New),
        zwave_contract(6, Server::New),
        zwave_contract(3, Server::Old),
    );
}
