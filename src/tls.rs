//! What both doors need to speak TLS: certificates and keys from their files, and how rustls is set
//! up. Versions 1.2 and 1.3 over ring, with the gateway's own clock to judge dates by.
//!
//! It refuses a certificate that does not belong to its key: nobody could connect. It never says
//! what stands in a file, since that may be a key.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ConfigBuilder, ConfigSide, RootCertStore, ServerConfig, WantsVerifier, WantsVersions,
};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::config::{ClientTls, Identity};

/// What is wrong with a file that TLS needs, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{path} {problem}", path = .path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl FileError {
    /// Which file it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            FileError::Unreadable { path, .. } | FileError::Unusable { path, .. } => path,
        }
    }
}

const NOT_PEM: &str =
    "is not PEM as it should be: a section has no end, or holds what is not base64; copy it anew";
const NO_CERTIFICATE: &str = "holds no certificate: PEM has it below a line -----BEGIN CERTIFICATE-----";
const NO_KEY: &str = "holds no private key that can be used: it must be in PEM and without a password, which \
                      `openssl pkey -in OLD -out NEW` takes away";
const NO_AUTHORITY: &str =
    "holds no authority that can be used: it must be a certificate in PEM, of version 3";

/// How the gateway shows who it is to those who connect to it.
///
/// # Errors
/// [`FileError`]
pub fn server(identity: &Identity, clock: &Clock) -> Result<ServerConfig, FileError> {
    let shown = Arc::new(SingleCertAndKey::from(certified(identity)?));
    let builder = ServerConfig::builder_with_details(Arc::new(default_provider()), Time::of(clock));
    Ok(safe(builder).with_no_client_auth().with_cert_resolver(shown))
}

/// How the gateway makes sure of the other side, and shows who it is if it is asked.
///
/// # Errors
/// [`FileError`]
pub fn client(other: &ClientTls, clock: &Clock) -> Result<ClientConfig, FileError> {
    let mut authorities = RootCertStore::empty();
    let (usable, _) = authorities.add_parsable_certificates(certificates(&other.ca)?);
    if usable == 0 {
        return Err(unusable(&other.ca, NO_AUTHORITY));
    }
    let builder = ClientConfig::builder_with_details(Arc::new(default_provider()), Time::of(clock));
    let builder = safe(builder).with_root_certificates(authorities);
    Ok(match &other.identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified(identity)?)))
        }
        None => builder.with_no_client_auth(),
    })
}

/// Whether any user of this machine may read a key. A group may: systemd lets a service in that way.
#[must_use]
pub fn is_open_to_others(key: &Path) -> bool {
    fs::metadata(key).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}

fn safe<S: ConfigSide>(builder: ConfigBuilder<S, WantsVersions>) -> ConfigBuilder<S, WantsVerifier> {
    builder
        .with_safe_default_protocol_versions()
        .expect("ring knows suites for both versions")
}

fn certified(identity: &Identity) -> Result<CertifiedKey, FileError> {
    let chain = certificates(&identity.cert)?;
    CertifiedKey::from_der(chain, key(&identity.key)?, &default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => unusable(
            &identity.key,
            format!(
                "is not the key of the first certificate in {}, which must be the gateway's own: take the two that \
                 were made together",
                identity.cert.display()
            ),
        ),
        rustls::Error::InvalidCertificate(_) => unusable(
            &identity.cert,
            "holds a certificate that cannot be read; make a new one, of version 3",
        ),
        _ => unusable(&identity.key, "holds a key of a kind that is not known: make one of RSA, ECDSA or Ed25519"),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => Err(unusable(path, NO_CERTIFICATE)),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(unusable(path, NOT_PEM)),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => unusable(path, NO_KEY),
        _ => unusable(path, NOT_PEM),
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let bytes = fs::read(path).map(Zeroizing::new);
    bytes.map_err(|source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn unusable(path: &Path, problem: impl Into<String>) -> FileError {
    FileError::Unusable {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// The gateway's own clock, as rustls asks for it.
struct Time(Clock);

impl Time {
    fn of(clock: &Clock) -> Arc<Time> {
        Arc::new(Time(clock.clone()))
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since_1970 = u64::try_from(self.0.now().wall.0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(since_1970)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
