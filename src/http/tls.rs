//! HTTPS: who the gateway is, how a connection begins, and what a caller that has gone looks like.
//!
//! Certificate and key are read again when somebody asks for it, and count for the connections
//! that come then. Those that cannot be used change nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, ServerConfig};
use socket2::{SockRef, Socket as Bottom};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::line::{Socket, Stream};
use crate::clock::Clock;
use crate::config::Identity;
use crate::tls::{self, FileError};
use crate::warnings::Warnings;

/// What makes the port speak HTTPS.
pub struct Tls {
    identity: Identity,
    clock: Clock,
    current: Mutex<Arc<ServerConfig>>,
    /// About failed handshakes.
    warnings: Mutex<Warnings>,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn new(identity: Identity, clock: Clock) -> Result<Tls, FileError> {
        Ok(Tls {
            current: Mutex::new(read(&identity, &clock)?),
            identity,
            clock,
            warnings: Mutex::default(),
        })
    }

    /// Reads certificate and key again, for new connections.
    ///
    /// # Errors
    /// They cannot be used: then the old ones stay.
    pub fn renew(&self) -> Result<(), FileError> {
        let new = read(&self.identity, &self.clock)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Begins a connection; `None`, and a line in the log, if nothing comes of it.
    pub(super) async fn greet<S: Socket>(
        &self,
        socket: S,
        from: SocketAddr,
        patience: Duration,
    ) -> Option<TlsStream<S>> {
        let current = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        let reason = match timeout(patience, TlsAcceptor::from(current).accept(socket)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => reason(&error),
            Err(_) => None,
        };
        let Some(why) = reason else {
            // As everything does that looks whether a port is open.
            tracing::debug!(%from, "a caller went, or waited, before TLS was agreed on");
            return None;
        };
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        match warnings.one_more(self.clock.now().mono) {
            Some(kept_back) => {
                if kept_back > 0 {
                    tracing::warn!(kept_back, "further callers could not be greeted over TLS");
                }
                tracing::warn!(%from, %why, "a caller could not be greeted over TLS");
            }
            None => tracing::debug!(%from, %why, "a caller could not be greeted over TLS"),
        }
        None
    }
}

fn read(identity: &Identity, clock: &Clock) -> Result<Arc<ServerConfig>, FileError> {
    let mut config = tls::server(identity, clock)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why a handshake failed; `None` if the caller just went.
fn reason(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        // The extension came with TLS 1.2, and is asked for before the version is looked at.
        rustls::Error::PeerIncompatible(
            PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => "it offers neither TLS 1.2 nor 1.3, and older versions are not safe".into(),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what it sends is not TLS: HTTP perhaps, which needs https:// here".into()
        }
        rustls::Error::NoApplicationProtocol => "it speaks no HTTP/1.1".into(),
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired),
        ) => format!("it does not accept our certificate ({alert:?})"),
        other => other.to_string(),
    })
}

impl<S: Socket> Stream for TlsStream<S> {
    /// A caller that closes says so first, in a record of TLS (`close_notify`). One that waits
    /// unread on the socket looks like a request there, so that what waits is opened: a caller
    /// that said goodbye counts as gone, and so does one whose socket has ended without a word.
    fn is_open(&mut self) -> bool {
        let (socket, session) = self.get_mut();
        let socket = SockRef::from(&*socket);
        let mut bottom: &Bottom = &socket;
        match session.read_tls(&mut bottom) {
            Ok(0) => false,
            Ok(_) => session
                .process_new_packets()
                .is_ok_and(|state| !state.peer_has_closed()),
            // Nothing waits; or so much that rustls takes no more of it before it is read.
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Other),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio_rustls::{TlsConnector, client};

    const LONG: Duration = Duration::from_secs(60);

    /// A gateway that is called `gateway`, and who trusts it.
    pub fn tls() -> (Tls, TlsConnector) {
        let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("crt"), dir.path().join("key"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = Tls::new(Identity { cert, key }, Clock::real(crate::model::Voucher::System)).unwrap();
        (tls, TlsConnector::from(Arc::new(trusting)))
    }

    pub fn gateway() -> ServerName<'static> {
        ServerName::try_from("gateway").unwrap()
    }

    async fn connected() -> (TlsStream<UnixStream>, client::TlsStream<UnixStream>) {
        let (tls, connector) = tls();
        let (here, there) = UnixStream::pair().unwrap();
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let (ours, theirs) = tokio::join!(tls.greet(here, from, LONG), connector.connect(gateway(), there));
        (ours.unwrap(), theirs.unwrap())
    }

    #[tokio::test]
    async fn a_caller_that_waits_or_asks_more_is_there_and_loses_nothing() {
        let (mut ours, mut theirs) = connected().await;
        assert!(ours.is_open());
        theirs.write_all(b"the next request").await.unwrap();
        assert!(ours.is_open() && ours.is_open());
        theirs.write_all(b" and one more").await.unwrap();
        assert!(ours.is_open());
        theirs.shutdown().await.unwrap();
        assert!(!ours.is_open());
        let mut asked = String::new();
        ours.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "the next request and one more");
    }

    #[tokio::test]
    async fn a_goodbye_counts_while_its_socket_is_open_and_so_does_an_end_without_one() {
        let (mut ours, mut theirs) = connected().await;
        theirs.get_mut().1.send_close_notify();
        theirs.flush().await.unwrap();
        assert!(!ours.is_open() && !ours.is_open());

        let (mut ours, theirs) = connected().await;
        drop(theirs);
        assert!(!ours.is_open());
    }
}
