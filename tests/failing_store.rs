//! A card that fails between a change and its answer, which leaves nobody who knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lockbridge::api::answer::Site;
use lockbridge::clock::Clock;
use lockbridge::gateway::{DeviceSpec, Gateway};
use lockbridge::http::keys::Keys;
use lockbridge::http::{self, Api, serve};
use lockbridge::lock::sim::Setup;
use lockbridge::model::Voucher;
use lockbridge::model::{DeviceId, RadioId, Settings};
use lockbridge::shell::{self, Parts};
use lockbridge::signature::SigningKey;
use lockbridge::store::{Batch, Fail, MemoryStore, Rows, SealKey, Store, Tree, Vault};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use uuid::Uuid;

const DEVICE: Uuid = Uuid::from_u128(1);
const LONG: Duration = Duration::from_secs(60);

/// Memory that can break.
struct Card {
    memory: MemoryStore,
    broken: Arc<AtomicBool>,
}

impl Store for Card {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fail> {
        self.memory.get(tree, key)
    }

    fn scan(&self, tree: Tree, prefix: &[u8], from: &[u8], limit: usize) -> Result<Rows, Fail> {
        self.memory.scan(tree, prefix, from, limit)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), Fail> {
        self.memory.commit(batch)
    }

    fn sync(&mut self) -> Result<(), Fail> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(Fail::Broken("on purpose".into())),
            false => self.memory.sync(),
        }
    }

    fn size(&self) -> u64 {
        self.memory.size()
    }
}

fn randomness() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(7)
}

/// All that comes on a connection of its own until the gateway closes it.
async fn call(socket: &std::path::Path) -> String {
    let body = format!(r#"{{"device_id":"{DEVICE}"}}"#);
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let head = "POST /access_codes/create HTTP/1.1\r\nhost: h\r\nconnection: close\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    told
}

#[tokio::test]
async fn a_change_that_may_be_on_the_card_gets_no_answer_that_says_otherwise() {
    let broken = Arc::new(AtomicBool::new(false));
    let mut card = Card {
        memory: MemoryStore::new(),
        broken: Arc::clone(&broken),
    };
    let clock = Clock::real(Voucher::System);
    let (vault, content) = Vault::open(&mut card, &SealKey::new([7; SealKey::BYTES]), [1; 16]).unwrap();
    let radio = RadioId("radio".into());
    let spec = DeviceSpec {
        device: DeviceId(DEVICE),
        name: "Front door".into(),
        driver: "sim".into(),
        radio: radio.clone(),
        capabilities: Setup::profile("slots").unwrap().capabilities,
        simulated: true,
    };
    let (radios, settings) = (BTreeMap::from([(radio, 1)]), Settings::default());
    let (gateway, _) = Gateway::boot(
        vault,
        content,
        vec![spec],
        radios,
        settings,
        clock.boot(),
        clock.reading(),
    )
    .unwrap();
    let (_report, facts) = shell::ear();
    let (core, running) = shell::start(Parts {
        gateway,
        store: Box::new(card),
        storage_low: Box::new(|| false),
        exporter: None,
        locks: BTreeMap::new(),
        facts,
        clock,
        rng: Box::new(randomness()),
    })
    .unwrap();

    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let (peer, _other) = UnixStream::pair().unwrap();
    let (stop, stopping) = watch::channel(false);
    let api = Api::new(http::Parts {
        core,
        site: Site::new("villa", "gw1"),
        keys: Keys::of(dir.path()),
        locks: BTreeMap::new(),
        household: None,
        time_is_steered: true,
        storage_low: Box::new(|| false),
        broker: None,
        signing_key: SigningKey::of(&[7; 32]),
        randomness: || Box::new(randomness()),
        own_uid: Some(peer.peer_cred().unwrap().uid()),
        over_tls: false,
        streams: 1,
        stop: stopping.clone(),
    });
    let calls = async {
        let before = call(&socket).await;
        assert!(before.starts_with("HTTP/1.1 200"), "{before}");
        broken.store(true, Ordering::SeqCst);
        assert_eq!(call(&socket).await, "");
        assert!(matches!(running.await.unwrap(), Err(Fail::Broken(_))));
        // Nobody is asked any more, so that this one is known to have changed nothing.
        let after = call(&socket).await;
        assert!(after.starts_with("HTTP/1.1 503"), "{after}");
        stop.send(true).unwrap();
    };
    tokio::join!(serve(listener, Arc::new(api), LONG, None, stopping), calls);
}
