//! A radio that runs, the locks around it, and waits for what it tells.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lockbridge::clock::Clock;
use lockbridge::lock::ble::{Address, BleLink, News, NoLink, Options, Radio, open};
use lockbridge::lock::nuki::{
    Characteristic, Credentials, Model, NukiDriver, SecurityPin, SharedKey, capabilities,
};
use lockbridge::model::Voucher;
use tokio::task::JoinHandle;

use super::bluez::Bluez;
use super::bus::Bus;
use super::lock::{Kind, SimLock, User};

/// Longer than anything here takes, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// For a link, from the first attempt on.
const WITHIN: Duration = Duration::from_secs(45);
pub const KEY: [u8; 32] = [0x42; 32];

pub fn address(number: u8) -> Address {
    Address([0x54, 0xd2, 0x72, 0, 0, number])
}

pub struct Rig {
    pub radio: Radio,
    pub news: Arc<Mutex<Vec<News>>>,
    pub bluez: Bluez,
    pub bus: Option<Bus>,
    running: JoinHandle<()>,
}

impl Rig {
    /// So many locks that the gateway is paired with, and a radio that works.
    pub async fn new(locks: u8) -> Rig {
        let rig = Rig::begin(locks, |_| {});
        rig.told(News::Up).await;
        rig
    }

    /// The same, with a world in which something is not as it should be from the start.
    pub fn begin(locks: u8, change: impl FnOnce(&Bluez)) -> Rig {
        let bus = Bus::start();
        let bluez = Bluez::start((1..=locks).map(|number| (address(number), paired_lock(number))));
        change(&bluez);
        let news: Arc<Mutex<Vec<News>>> = Arc::default();
        let report = {
            let news = news.clone();
            Arc::new(move |said| news.lock().unwrap().push(said))
        };
        let options = Options {
            adapter: "hci0".to_owned(),
            links: 3,
        };
        let (radio, running) = open(options, Clock::real(Voucher::System), report);
        #[expect(clippy::disallowed_methods, reason = "the shell's part")]
        let running = tokio::spawn(running);
        Rig {
            radio,
            news,
            bluez,
            bus: Some(bus),
            running,
        }
    }

    pub async fn link(&self, number: u8) -> Result<BleLink, NoLink> {
        self.radio
            .link(address(number), Characteristic::Everyday.uuid(), WITHIN)
            .await
    }

    /// Asks until there is a link, as a gateway does that asks again later.
    pub async fn link_at_last(&self, number: u8) -> BleLink {
        let asking = async {
            loop {
                match self.link(number).await {
                    Ok(link) => return link,
                    Err(_) => pause().await,
                }
            }
        };
        tokio::time::timeout(DEADLINE, asking)
            .await
            .expect("a link in the end")
    }

    /// Waits until the radio says something.
    pub async fn told(&self, what: News) {
        self.until("news", || self.news.lock().unwrap().contains(&what))
            .await;
    }

    pub async fn until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let waiting = async {
            while !so() {
                pause().await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(
            waited.is_ok(),
            "{what}: never; told {:?}",
            self.news.lock().unwrap()
        );
    }

    /// Ends the radio in good order.
    pub async fn end(self) {
        drop(self.radio);
        tokio::time::timeout(DEADLINE, self.running)
            .await
            .expect("it ends")
            .expect("without a panic");
    }
}

/// Between two looks at a condition.
#[expect(clippy::disallowed_methods, reason = "between two looks at a condition")]
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

fn paired_lock(number: u8) -> SimLock {
    let mut lock = SimLock::new(Kind::Classic, number.into());
    let user = User {
        key: KEY,
        app_id: 77,
        name: "lockbridge".to_owned(),
        kind: 0,
    };
    lock.users.insert(5, user);
    lock
}

/// The driver for any of the locks.
pub fn driver() -> NukiDriver {
    let credentials = Credentials {
        model: Model::Classic,
        authorization: 5,
        key: SharedKey::new(KEY),
        app_id: 77,
    };
    let pin = SecurityPin::parse(Model::Classic, "1234").unwrap();
    NukiDriver::new(credentials, pin, capabilities())
}
