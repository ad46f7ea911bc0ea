//! Calls to a running gateway, over its Unix socket or its port.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::request;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::Failure;
use crate::config::AS_ROOT;
use crate::http::socket;

/// A running gateway, by the door that it is called at.
pub(super) enum Gateway {
    /// Its Unix socket, where the user's id is the authority.
    Local(PathBuf),
    /// Its port, where a key is.
    Network {
        address: SocketAddr,
        key: Zeroizing<String>,
    },
}

/// Talks with the gateway that runs with a data directory.
pub(super) fn with(
    data_dir: &Path,
    talk: impl AsyncFnOnce(&Gateway) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let gateway = Gateway::Local(socket::path(data_dir));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(talk(&gateway))
}

impl Gateway {
    /// Asks with GET.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, Value::Null).await
    }

    /// Asks with POST.
    pub(super) async fn post(&self, path: &str, params: Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, params).await
    }

    async fn call(&self, method: Method, path: &str, params: Value) -> Result<Value, Failure> {
        let body = match params {
            Value::Null => Bytes::new(),
            params => Bytes::from(params.to_string()),
        };
        let body = exchange(self.connect().await?, self.request(method, path), body).await?;
        let answer: Value = serde_json::from_slice(&body).map_err(Failure::other)?;
        match answer["error"]["message"].as_str() {
            Some(message) => Err(Failure::other(message)),
            None => Ok(answer),
        }
    }

    /// Follows a stream of server-sent events until it ends, or what hears them has enough. Signs of life, which
    /// tell of nothing, are handed on too.
    pub(super) async fn follow(
        &self,
        path: &str,
        mut hear: impl AsyncFnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, path).body(Full::new(Bytes::new()));
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?))
            .await
            .map_err(Failure::other)?;
        let reading = async {
            let response = sender.send_request(request.map_err(Failure::other)?).await;
            let mut body = response.map_err(Failure::other)?.into_body();
            let mut begun = Vec::new();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.map_err(Failure::other)?.into_data() {
                    begun.extend(data);
                }
                while let Some(end) = begun.windows(2).position(|pair| pair == b"\n\n") {
                    let message: Vec<u8> = begun.drain(..end + 2).collect();
                    hear(&String::from_utf8_lossy(&message)).await?;
                }
            }
            Ok(())
        };
        // The connection moves the bytes for as long as somebody reads them.
        let connection = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = reading => read,
            () = connection => Ok(()),
        }
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "lockbridge");
        match self {
            Gateway::Local(_) => request,
            Gateway::Network { key, .. } => request.header(AUTHORIZATION, format!("Bearer {}", key.as_str())),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Wire>, Failure> {
        Ok(match self {
            Gateway::Local(path) => {
                let stream = UnixStream::connect(path).await;
                Box::new(stream.map_err(|error| nobody(&path.display().to_string(), &error))?)
            }
            Gateway::Network { address, .. } => {
                let stream = TcpStream::connect(address).await;
                Box::new(stream.map_err(|error| nobody(&address.to_string(), &error))?)
            }
        })
    }
}

/// Why no gateway answers at a door.
fn nobody(door: &str, error: &io::Error) -> Failure {
    Failure::other(match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{door}: {error}; {AS_ROOT}"),
        _ => format!(
            "no gateway answers at {door}: {error}; does `lockbridge run` run with this configuration?"
        ),
    })
}

/// What bytes go over.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for S {}

/// One request and its answer's body, on a connection of their own.
async fn exchange(stream: Box<dyn Wire>, request: request::Builder, body: Bytes) -> Result<Bytes, Failure> {
    let request = request.body(Full::new(body)).map_err(Failure::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::other)?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        response.into_body().collect().await
    };
    // The connection moves the bytes of the exchange, and ends with it.
    let (_, answered) = tokio::join!(connection, exchange);
    Ok(answered.map_err(Failure::other)?.to_bytes())
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut path, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        // Writing to a string does not fail.
        let _ = match plain {
            true => write!(path, "{}", char::from(byte)),
            false => write!(path, "%{byte:02X}"),
        };
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_that_is_closed_to_somebody_is_not_taken_for_one_without_a_gateway() {
        let told = |kind: io::ErrorKind| nobody("/run/lockbridge.sock", &kind.into()).message;
        let closed = told(io::ErrorKind::PermissionDenied);
        assert!(
            closed.contains("run it with sudo") && !closed.contains("no gateway"),
            "{closed}"
        );
        assert!(told(io::ErrorKind::NotFound).contains("no gateway answers"));
    }
}
