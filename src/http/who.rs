//! Who calls, and what that one may do.
//!
//! Over TCP the bearer key says it. Over the Unix socket the kernel says it: the socket lets in
//! nobody but root and the gateway's own user, and they may do everything.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::Api;
use super::answer::Refused;
use super::keys::{Key, Keys, Scope};
use crate::api::answer::Pins;
use crate::model::{Caller, Reason, Refusal};

/// The other end of a connection; stands in the extensions of each of its requests.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Some program on the network, from there.
    Network(SocketAddr),
    /// A user of this machine; `None` if the kernel does not say which.
    Local(Option<u32>),
}

/// A caller who was let in.
pub struct Who {
    /// Under which name its jobs stand.
    pub caller: Caller,
    scopes: BTreeSet<Scope>,
    key: Option<Key>,
    is_local: bool,
}

impl Who {
    /// Somebody who need not say who that is, and may do nothing that asks for a scope.
    #[must_use]
    pub fn anybody() -> Who {
        Who {
            caller: Caller("anybody".into()),
            scopes: BTreeSet::new(),
            key: None,
            is_local: false,
        }
    }

    /// Insists on a scope.
    ///
    /// # Errors
    /// `forbidden`, naming it.
    pub fn may(&self, scope: Scope) -> Result<(), Refused> {
        self.may_one_of(&[scope])
    }

    /// Insists on one of several scopes.
    ///
    /// # Errors
    /// `forbidden`, naming the first.
    pub fn may_one_of(&self, scopes: &[Scope]) -> Result<(), Refused> {
        if scopes.iter().any(|scope| self.scopes.contains(scope)) {
            return Ok(());
        }
        let needed = scopes.first().map_or("", |scope| scope.word());
        Err(Refused(Refusal::new(
            Reason::Forbidden,
            format!("this needs a key with the scope `{needed}`"),
        )))
    }

    /// Whether this caller would be let in again: its key may have been revoked meanwhile.
    #[must_use]
    pub fn is_welcome(&self, keys: &Keys) -> bool {
        self.key.as_ref().is_none_or(|key| keys.has(key))
    }

    /// Whether this is root or the gateway's own user, over the Unix socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Whether this caller may see PINs.
    #[must_use]
    pub fn pins(&self) -> Pins {
        match self.scopes.contains(&Scope::Pins) {
            true => Pins::Shown,
            false => Pins::Hidden,
        }
    }
}

impl FromRequestParts<Arc<Api>> for Who {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, api: &Arc<Api>) -> Result<Who, Refused> {
        match head.extensions.get::<Peer>() {
            Some(Peer::Local(uid)) => by_user(*uid, api.own_uid),
            Some(Peer::Network(address)) => by_key(head, api, address.ip()),
            None => Err(unauthorized("nobody knows where this request comes from")),
        }
    }
}

fn by_user(uid: Option<u32>, own: Option<u32>) -> Result<Who, Refused> {
    match uid {
        Some(uid) if uid == 0 || Some(uid) == own => Ok(Who {
            caller: Caller(format!("uid:{uid}")),
            scopes: BTreeSet::from(Scope::ALL),
            key: None,
            is_local: true,
        }),
        _ => Err(unauthorized("this socket serves root and the gateway's own user")),
    }
}

fn by_key(head: &Parts, api: &Api, address: IpAddr) -> Result<Who, Refused> {
    let header = head
        .headers
        .get(AUTHORIZATION)
        .ok_or_else(|| unauthorized("send `authorization: Bearer` with an API key"))?;
    let now = api.clock().now();
    let key = header
        .to_str()
        .ok()
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, key)| api.keys.find(key.trim(), now))
        .ok_or_else(|| api.wrong_keys.shown(address, now.mono))?;
    tracing::debug!(key = key.name, path = head.uri.path(), "a key is used");
    Ok(Who {
        // Not by its name: a key that gets the name of a revoked one does not get its jobs.
        caller: Caller(format!("key:{}", key.id())),
        scopes: key.scopes.clone(),
        key: Some(key),
        is_local: false,
    })
}

fn unauthorized(message: &str) -> Refused {
    Refused(Refusal::new(Reason::Unauthorized, message))
}
