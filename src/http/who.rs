//! Who calls, and what that one may do.
//!
//! Over TCP the bearer key says it. Over the Unix socket the kernel says it: the socket lets in
//! nobody but root and the gateway's own user, and they may do everything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::Api;
use super::answer::Refused;
use super::keys::Scope;
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
}

impl Who {
    /// Somebody who need not say who that is, and may do nothing that asks for a scope.
    #[must_use]
    pub fn anybody() -> Who {
        Who {
            caller: Caller("anybody".into()),
            scopes: BTreeSet::new(),
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
            Some(Peer::Network(_)) | None => by_key(head, api),
        }
    }
}

fn by_user(uid: Option<u32>, own: Option<u32>) -> Result<Who, Refused> {
    match uid {
        Some(uid) if uid == 0 || Some(uid) == own => Ok(Who {
            caller: Caller(format!("uid:{uid}")),
            scopes: BTreeSet::from(Scope::ALL),
        }),
        _ => Err(unauthorized("this socket serves root and the gateway's own user")),
    }
}

fn by_key(head: &Parts, api: &Api) -> Result<Who, Refused> {
    let header = head
        .headers
        .get(AUTHORIZATION)
        .ok_or_else(|| unauthorized("send `authorization: Bearer` with an API key"))?;
    let key = header
        .to_str()
        .ok()
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, key)| api.keys.find(key.trim()))
        .ok_or_else(|| unauthorized("this API key is not known"))?;
    Ok(Who {
        caller: Caller(format!("key:{}", key.name)),
        scopes: key.scopes,
    })
}

fn unauthorized(message: &str) -> Refused {
    Refused(Refusal::new(Reason::Unauthorized, message))
}
