//! Why there is no connection, so that an operator knows what to do.

use std::io;

use rumqttc::TlsError;
use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use rumqttc::v5::{ConnectionError, StateError};
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use crate::api::time;
use crate::config::ClientTls;
use crate::model::Timestamp;

/// What went wrong.
pub(super) struct Trouble {
    /// In words. Never with a packet in it: that may hold a PIN.
    pub(super) why: String,
    /// When it will be over by the wall clock, if only that stands in the way.
    pub(super) until: Option<Timestamp>,
}

impl Trouble {
    /// Trouble whose end nobody knows.
    pub(super) fn new(why: String) -> Trouble {
        Trouble { why, until: None }
    }

    /// What an error of the client means, on a connection that the broker had confirmed or not.
    pub(super) fn of(
        error: &ConnectionError,
        host: &str,
        tls: Option<&ClientTls>,
        confirmed: bool,
    ) -> Trouble {
        if let (Some(tls), Some(error)) = (tls, tls_error(error)) {
            return Handshake { host, tls }.trouble(error);
        }
        Trouble::new(match error {
            ConnectionError::NotConnAck(_) => "the broker did not begin with a CONNACK".into(),
            ConnectionError::Timeout(_) => "no answer in time".into(),
            ConnectionError::ConnectionRefused(code) => refused_with(*code),
            // Brokers that know an older MQTT only say so in its own way.
            ConnectionError::MqttState(StateError::Deserialization(PacketError::InvalidConnectReturnCode(_))) => {
                refused_with(ConnectReturnCode::UnsupportedProtocolVersion)
            }
            ConnectionError::MqttState(StateError::CollisionTimeout) => {
                "the broker confirms later messages and leaves out an earlier one".into()
            }
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
                format!("the broker ended the connection: {reason_code:?}")
            }
            ConnectionError::MqttState(StateError::AwaitPingResp) => "the broker answers no pings".into(),
            _ if tls.is_some() && !confirmed && is_end(error) => {
                "the broker closed the connection before it confirmed it: perhaps it speaks no TLS at this port, or \
                 wants another certificate in [mqtt] cert and key"
                    .into()
            }
            other => other.to_string(),
        })
    }
}

fn refused_with(code: ConnectReturnCode) -> String {
    use ConnectReturnCode as Code;
    match code {
        Code::UnsupportedProtocolVersion => "the broker does not speak MQTT 5, which is needed".into(),
        Code::ClientIdentifierNotValid => {
            "the broker does not take our client id, lockbridge-<site>-ID-<id>: see its rules about names"
                .into()
        }
        Code::BadUserNamePassword => {
            "the broker does not know this user with this password: see `username` and `password_file`".into()
        }
        Code::NotAuthorized | Code::Banned => {
            "the broker does not let this user in: see its access list, and `username`".into()
        }
        Code::ServerUnavailable | Code::ServerBusy | Code::ConnectionRateExceeded => {
            "the broker is busy, or not ready yet".into()
        }
        Code::QuotaExceeded => "the broker has reached a limit of its own: see its quotas".into(),
        Code::UseAnotherServer | Code::ServerMoved => "the broker is somewhere else now: see `url`".into(),
        other => format!("the broker refuses the connection: {other:?}"),
    }
}

/// What rustls says, wherever the client packed it.
fn tls_error(error: &ConnectionError) -> Option<&rustls::Error> {
    match error {
        ConnectionError::Tls(TlsError::TLS(error)) => Some(error),
        error => io_error(error)?.get_ref()?.downcast_ref(),
    }
}

fn io_error(error: &ConnectionError) -> Option<&io::Error> {
    match error {
        ConnectionError::Io(error)
        | ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)),
        ) => Some(error),
        _ => None,
    }
}

/// Whether the broker ended the connection, in whatever way.
fn is_end(error: &ConnectionError) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted))
        || io_error(error)
            .is_some_and(|error| matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
}

/// What the two sides had to agree on.
struct Handshake<'a> {
    host: &'a str,
    tls: &'a ClientTls,
}

impl Handshake<'_> {
    fn trouble(&self, error: &rustls::Error) -> Trouble {
        Trouble::new(match error {
            rustls::Error::InvalidCertificate(error) => return self.certificate(error),
            rustls::Error::AlertReceived(alert) => self.alert(*alert),
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => OLD_VERSION.into(),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "the broker speaks no TLS at this port".into()
            }
            other => format!("TLS: {other}"),
        })
    }

    fn certificate(&self, error: &CertificateError) -> Trouble {
        let ca = self.tls.ca.display();
        Trouble::new(match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!("the broker's certificate is not vouched for by {ca}")
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                let why = format!(
                    "the broker's certificate is valid from {} on, and this machine's clock says {}: most likely it \
                     is behind, as on a machine without a battery clock; tried again once it is set",
                    show(*not_before),
                    show(*time)
                );
                return Trouble {
                    why,
                    until: Some(wall(*not_before)),
                };
            }
            CertificateError::ExpiredContext { time, not_after } => format!(
                "the broker's certificate expired on {}, and this machine's clock says {}: the broker needs a new one",
                show(*not_after),
                show(*time)
            ),
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
                "the broker's certificate is for no host: make one for {} (subjectAltName)",
                self.host
            ),
            CertificateError::NotValidForNameContext { presented, .. } => format!(
                "the broker's certificate is for {}, and not for {}",
                presented
                    .iter()
                    .map(|name| bare(name))
                    .collect::<Vec<_>>()
                    .join(", "),
                self.host
            ),
            other => format!("the broker's certificate cannot be accepted: {other}"),
        })
    }

    fn alert(&self, alert: AlertDescription) -> String {
        use AlertDescription as Alert;
        match (alert, &self.tls.identity) {
            (Alert::ProtocolVersion, _) => OLD_VERSION.into(),
            (Alert::CertificateRequired, None) => {
                "the broker asks for a certificate: set [mqtt] cert and key".into()
            }
            (Alert::HandshakeFailure, None) => {
                "the broker refuses the handshake: perhaps it asks for a certificate, \
                                                which [mqtt] cert and key would be"
                    .into()
            }
            (
                Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied,
                Some(identity),
            ) => format!(
                "the broker refuses the certificate in {}: {alert:?}",
                identity.cert.display()
            ),
            (other, _) => format!("the broker ends the handshake: {other:?}"),
        }
    }
}

const OLD_VERSION: &str = "the broker offers neither TLS 1.2 nor 1.3, and older versions are not safe";

fn wall(time: UnixTime) -> Timestamp {
    Timestamp(i64::try_from(time.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX))
}

fn show(time: UnixTime) -> String {
    time::text(wall(time)).unwrap_or_else(|| "a time beyond the calendar".into())
}

/// A name without what rustls writes around it, as in `DnsName("broker.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}
