//! Whether a machine and the gateway on it are fit for work: after an installation, an upgrade, a new card.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

use super::Failure;
use super::client::Gateway;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::keys::Keys;
use crate::store;

/// Others than the owner have no business with the store.
const OTHERS: u32 = 0o077;
/// Writes that are synced one by one, to see how long that takes.
const SYNCS: u32 = 32;
/// No card and no disk brings so many writes to where they last in less.
const QUICKEST: Duration = Duration::from_millis(3);
/// A broker, a bus that is there answers within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where D-Bus listens, unless its environment variable says otherwise.
const BUS: &str = "/run/dbus/system_bus_socket";

/// What came of one check.
enum Outcome {
    /// As it should be; what was seen.
    Fine(String),
    /// It works, but not as whoever relies on it believes.
    Doubtful(String),
    /// It does not work; what to do.
    Bad(String),
}

use Outcome::{Bad, Doubtful, Fine};

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, seen) = match self {
            Fine(seen) => ("ok", seen),
            Doubtful(seen) => ("doubt", seen),
            Bad(seen) => ("FAIL", seen),
        };
        write!(f, "{word:6}{seen}")
    }
}

/// Checks one thing after the other. Fails, with status 1, if one of them does not work.
pub(super) async fn selftest(config: &Config, gateway: &Gateway) -> Result<String, Failure> {
    let clock = Clock::real(config.clock);
    let ready = gateway.get("/readyz").await;
    let mut checks = vec![
        ("gateway", fit(&ready)),
        ("store", store(&ready)),
        ("clock", trusted(&ready)),
        ("files", private(&config.data_dir)),
        ("room", room(config)),
        ("exports", exports(&config.data_dir)),
        ("keys", keys(&config.data_dir)),
        ("sync", syncs(&config.data_dir, &clock)),
    ];
    if let Some(mqtt) = &config.mqtt {
        let connected = reach(TcpStream::connect((mqtt.host.as_str(), mqtt.port))).await;
        let at = format!("{}:{}", mqtt.host, mqtt.port);
        checks.push((
            "broker",
            match connected {
                Ok(()) => Fine(format!(
                    "{at} takes connections; the log says whether it lets the gateway in"
                )),
                Err(why) => Bad(format!("{at} takes no connection: {why}")),
            },
        ));
    }
    if config.ble.is_some() {
        checks.push((
            "bus",
            match reach(UnixStream::connect(BUS)).await {
                Ok(()) => Fine("D-Bus answers".to_owned()),
                Err(why) => Bad(format!("{BUS}: {why}; Bluetooth needs dbus and bluez")),
            },
        ));
    }
    let table: String = checks
        .iter()
        .map(|(what, outcome)| format!("{what:8} {outcome}\n"))
        .collect();
    match checks.iter().any(|(_, outcome)| matches!(outcome, Bad(_))) {
        true => Err(Failure::other(format!("not fit for work\n{table}"))),
        false => Ok(table),
    }
}

type Ready = Result<Value, Failure>;

fn fit(ready: &Ready) -> Outcome {
    match ready {
        Ok(ready) if ready["ok"] == true => {
            let devices = &ready["devices"];
            Fine(format!(
                "takes work; {} of {} devices answer",
                devices["online"], devices["total"]
            ))
        }
        Ok(_) => Bad("takes no new work; the following says why".to_owned()),
        Err(failure) => Bad(failure.message.clone()),
    }
}

fn store(ready: &Ready) -> Outcome {
    match ready {
        Ok(ready) if ready["store"] == "ok" => {
            Fine(format!("at work; {} access codes", ready["access_codes"]))
        }
        Ok(_) => Bad("it has stopped: see the log, and docs/operations.md for what it says there".to_owned()),
        Err(_) => Bad("not known: no gateway has it open".to_owned()),
    }
}

fn trusted(ready: &Ready) -> Outcome {
    let Ok(ready) = ready else {
        return Doubtful("not known".to_owned());
    };
    let clock = &ready["clock"];
    match clock["trust"].as_str() {
        Some("trusted") => Fine(format!(
            "counts, vouched for by: {}",
            clock["source"].as_str().unwrap_or("?")
        )),
        Some(trust) => Doubtful(format!(
            "{trust}: later codes wait until something sets it (`timedatectl`), or you say `lockbridge clock accept`"
        )),
        None => Doubtful("not known".to_owned()),
    }
}

/// Whether the data directory is closed to others, and all directly in it its owner's: after a command as root
/// something may not be.
fn private(data_dir: &Path) -> Outcome {
    let look = || -> io::Result<Option<String>> {
        let dir = fs::metadata(data_dir)?;
        if dir.mode() & OTHERS != 0 {
            let shown = data_dir.display();
            return Ok(Some(format!("others may look into {shown}: chmod go= {shown}")));
        }
        for entry in fs::read_dir(data_dir)? {
            let path = entry?.path();
            if fs::symlink_metadata(&path)?.uid() != dir.uid() {
                let shown = path.display();
                return Ok(Some(format!(
                    "{shown} is another user's than its directory: chown it"
                )));
            }
        }
        Ok(None)
    };
    let shown = data_dir.display();
    match look() {
        Ok(None) => Fine(format!("{shown} is its user's alone")),
        Ok(Some(why)) => Bad(why),
        Err(why) => Bad(format!(
            "{shown}: {why}; run this as root or as the gateway's user"
        )),
    }
}

fn room(config: &Config) -> Outcome {
    let reserve = config.reserve >> 20;
    match fs2::available_space(&config.data_dir) {
        Ok(free) if free >= config.reserve => Fine(format!("{} MB free, {reserve} are kept", free >> 20)),
        Ok(free) => Bad(format!(
            "{} MB free, and {reserve} are to be kept: make room",
            free >> 20
        )),
        Err(why) => Bad(format!("cannot tell: {why}")),
    }
}

fn exports(data_dir: &Path) -> Outcome {
    match store::has_recovery_key(data_dir) {
        true => Fine("are made, and sealed to a recovery key".to_owned()),
        false => Doubtful("none are made: `lockbridge init` makes the key that would open them".to_owned()),
    }
}

fn keys(data_dir: &Path) -> Outcome {
    match Keys::of(data_dir).list() {
        Ok(keys) => Fine(format!("{} for callers", keys.len())),
        Err(why) => Bad(format!("no API key is accepted: {why}")),
    }
}

/// How long it takes until a write lasts. What is too quick to be true is memory, or lies.
fn syncs(data_dir: &Path, clock: &Clock) -> Outcome {
    let write = || -> io::Result<()> {
        let path = data_dir.join(format!("selftest-{}", std::process::id()));
        let mut file = File::create_new(&path)?;
        // It is gone with this process, whatever becomes of that.
        fs::remove_file(&path)?;
        for _ in 0..SYNCS {
            file.write_all(&[0; 512])?;
            file.sync_data()?;
        }
        Ok(())
    };
    let began = clock.reading().mono;
    if let Err(why) = write() {
        return Bad(format!(
            "{}: {why}; run this as root or as the gateway's user",
            data_dir.display()
        ));
    }
    let took = Duration::from_millis(clock.reading().mono.0.saturating_sub(began.0));
    let each = took / SYNCS;
    match took < QUICKEST {
        true => Doubtful(format!(
            "{SYNCS} in {took:?} is too quick for anything that keeps what it is given: a RAM disk, or a disk that \
             lies; after a power cut accepted jobs may be gone"
        )),
        false => Fine(format!("a write lasts after {each:?}")),
    }
}

async fn reach<T>(connect: impl Future<Output = io::Result<T>>) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, connect).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}
