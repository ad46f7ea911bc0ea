//! What the operator wrote, in two steps: as typed (`raw`), then checked into the types that
//! the gateway goes by (`check`). Nothing is opened or bound before all of it is known to be
//! sound.
//!
//! It refuses every key that it does not know, and whatever this version cannot do: a gateway
//! that starts is one that understood all that it was told. It fails with a [`ConfigError`] that
//! says where, what is wrong and what to do. Defaults of times and bounds stand in
//! [`Settings::default`] alone.

mod check;
mod describe;
mod device;
mod error;
mod raw;
mod secret;
mod span;
mod zwave;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lock::sim::Setup;
use crate::lock::zwave::Rules;
use crate::model::Voucher;
use crate::model::{DeviceId, RadioId, Settings};

pub(crate) use error::AS_ROOT;
pub use error::{ConfigError, Place};
pub use secret::Secret;
pub use span::parse as span;

/// All that an operator can set, checked.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// Name of the site; a level of MQTT topics.
    pub site: String,
    /// Name of this gateway within the site; a level of MQTT topics.
    pub gateway: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where and how HTTP is served.
    pub http: Http,
    /// The broker, if there is one.
    pub mqtt: Option<Mqtt>,
    /// The Z-Wave network, if there is one.
    pub zwave: Option<Zwave>,
    /// The Bluetooth adapter, if one is to be used.
    pub ble: Option<Ble>,
    /// Times and bounds that the core goes by.
    pub settings: Settings,
    /// What vouches for the clock.
    pub clock: Voucher,
    /// The file of the key that seals the store; `None` for the default place.
    pub key_file: Option<PathBuf>,
    /// How much room must stay free on the card, in bytes.
    pub reserve: u64,
    /// Where exports go; `None` for the data directory.
    pub export_dir: Option<PathBuf>,
    /// How much the log says.
    pub log: tracing::Level,
    /// How many simulated locks one simulated radio speaks to at once.
    pub sim_links: usize,
    /// The locks, in the order of the file.
    pub devices: Vec<Device>,
    /// The files that it names and that others wrote.
    pub files: Vec<NamedFile>,
}

/// A file that the configuration names, and where it does. It equals another that is named for the same, on whatever
/// line.
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// Where it is named.
    pub place: Place,
    /// By which key.
    pub key: String,
    /// The file; as written if it is [withheld](is_withheld).
    pub path: PathBuf,
}

impl PartialEq for NamedFile {
    fn eq(&self, other: &NamedFile) -> bool {
        (&self.key, &self.path) == (&other.key, &other.path)
    }
}

/// Begins a path in the folder where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// Whether a path leads where only the service can look, and this process is not it.
#[must_use]
pub fn is_withheld(path: &Path) -> bool {
    path.starts_with(CREDENTIALS)
}

/// Where and how HTTP is served.
#[derive(Debug, PartialEq)]
pub struct Http {
    /// The address.
    pub listen: SocketAddr,
    /// How long a caller may keep the gateway waiting.
    pub timeout: Duration,
    /// Who the gateway is; without it HTTP goes in the clear.
    pub identity: Option<Identity>,
}

/// Files, in PEM, with which one side of a connection shows who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The certificate, with those that lead from it to a known authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How a connection to another program is kept secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTls {
    /// The file, in PEM, of the authorities that may vouch for the other side.
    pub ca: PathBuf,
    /// Who the gateway is, if the other side asks.
    pub identity: Option<Identity>,
}

/// The broker, and how to log in.
#[derive(Debug, PartialEq)]
pub struct Mqtt {
    /// Name or address; also what the broker's certificate must be for.
    pub host: String,
    /// Port.
    pub port: u16,
    /// With `mqtts://`.
    pub tls: Option<ClientTls>,
    /// Time between two signs of life.
    pub keep_alive: Duration,
    /// Longest pause between two attempts to connect.
    pub backoff_max: Duration,
    /// User, if it asks for one.
    pub username: Option<String>,
    /// Password, as read from its file.
    pub password: Option<Secret>,
    /// Where callers may ask to be answered.
    pub reply_prefix: String,
    /// Whether names of guests are shown to everybody who reads the broker.
    pub show_names: bool,
    /// What Home Assistant is told of devices.
    pub discovery: Discovery,
    /// Where Home Assistant looks for devices.
    pub discovery_prefix: String,
}

/// What Home Assistant is told of devices, so that it shows them by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// Nothing. What it was told before is taken away.
    Off,
    /// All of a device in one message: Home Assistant from 2024.12 on.
    Device,
    /// One message for each entity: older ones, and others that read this, such as openHAB.
    Component,
}

/// The Z-Wave network: where its server is, and what is known of its locks.
#[derive(Debug, PartialEq)]
pub struct Zwave {
    /// Name or address; also what the server's certificate must be for.
    pub host: String,
    /// Port.
    pub port: u16,
    /// With `wss://`.
    pub tls: Option<ClientTls>,
    /// Longest pause between two attempts to connect.
    pub backoff_max: Duration,
    /// What its locks do not tell, in the order of the file.
    pub locks: Vec<Rules>,
}

/// The Bluetooth adapter. Locks are paired while the gateway runs, and stand in its store.
#[derive(Debug, PartialEq)]
pub struct Ble {
    /// Its name.
    pub adapter: String,
    /// Links at once.
    pub links: usize,
}

/// A lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its name for people.
    pub name: String,
    /// What it shares with others.
    pub radio: RadioId,
    /// How it is spoken to.
    pub driver: Driver,
}

/// The family of a lock, with what it needs to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Driver {
    /// A simulated lock.
    Sim(Setup),
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::parse(&read(path)?, path)
    }

    /// Checks a text that came from a file. Reads the files of secrets that it names.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let config = Config::look(text, path)?;
        if let Some(file) = config.withheld().next() {
            let problem =
                "$CREDENTIALS_DIRECTORY is not set; systemd sets it for services with LoadCredential=";
            return Err(file.wrong(problem));
        }
        Ok(config)
    }

    /// Reads and checks a file for a command beside the service: what only the service can look at stays unread. Its
    /// path stands in its place, so that no gateway must be run with this.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn load_beside_service(path: &Path) -> Result<Config, ConfigError> {
        Config::look(&read(path)?, path)
    }

    fn look(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let source = error::Source::new(text, path);
        let raw = toml::from_str(text).map_err(|error| source.as_typed(&error))?;
        let mut config = check::check(raw, &source)?;
        config.files = source.files();
        Ok(config)
    }

    /// The files at which this process cannot look.
    pub fn withheld(&self) -> impl Iterator<Item = &NamedFile> {
        self.files.iter().filter(|file| is_withheld(&file.path))
    }

    /// What is wrong with a file, said with the place that names it, if one does.
    #[must_use]
    pub fn blame(&self, file: &Path, problem: &str) -> Option<ConfigError> {
        let named = self.files.iter().find(|named| named.path == file)?;
        Some(named.wrong(problem))
    }

    /// Whether every lock is simulated, so that time may be steered.
    #[must_use]
    pub fn all_simulated(&self) -> bool {
        self.zwave.is_none() && self.ble.is_none() && self.devices.iter().all(Device::is_simulated)
    }
}

impl NamedFile {
    fn wrong(&self, problem: &str) -> ConfigError {
        ConfigError::Invalid {
            place: self.place.clone(),
            key: self.key.clone(),
            problem: problem.to_owned(),
        }
    }
}

/// The data directory that a file names: all that is needed to find the gateway that runs, whatever else may be
/// wrong with the file by now.
///
/// # Errors
/// It cannot be read, is not TOML, or its section `[gateway]` cannot be understood.
pub fn data_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    let text = read(path)?;
    let source = error::Source::new(&text, path);
    let whereabouts: raw::Whereabouts = toml::from_str(&text).map_err(|error| source.as_typed(&error))?;
    Ok(check::data_dir(whereabouts.gateway.data_dir))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

impl Device {
    fn is_simulated(&self) -> bool {
        matches!(self.driver, Driver::Sim(_))
    }
}
