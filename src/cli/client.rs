//! Calls to a running gateway, over its Unix socket or its port.

use std::net::SocketAddr;
use std::path::PathBuf;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::request;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::Failure;
use crate::config::Config;
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

/// Talks with the gateway that runs with a configuration.
pub(super) fn with(
    config: &Config,
    talk: impl AsyncFnOnce(&Gateway) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let gateway = Gateway::Local(socket::path(&config.data_dir));
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
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "lockbridge");
        let nobody = |door: String, error| {
            Failure::other(format!(
                "no gateway answers at {door}: {error}; does `lockbridge run` run with this configuration?"
            ))
        };
        let body = match self {
            Gateway::Local(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream.map_err(|error| nobody(path.display().to_string(), error))?;
                exchange(stream, request, body).await?
            }
            Gateway::Network { address, key } => {
                let stream = TcpStream::connect(address).await;
                let stream = stream.map_err(|error| nobody(address.to_string(), error))?;
                let request = request.header(AUTHORIZATION, format!("Bearer {}", key.as_str()));
                exchange(stream, request, body).await?
            }
        };
        let answer: Value = serde_json::from_slice(&body).map_err(Failure::other)?;
        match answer["error"]["message"].as_str() {
            Some(message) => Err(Failure::other(message)),
            None => Ok(answer),
        }
    }
}

/// One request and its answer's body, on a connection of their own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: request::Builder,
    body: Bytes,
) -> Result<Bytes, Failure> {
    let request = request.body(Full::new(body)).map_err(Failure::other)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
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
