//! Who calls, and what that one may do.
//!
//! Over TCP the bearer key says it, or the cookie of a session that was begun with one. Over the Unix socket the
//! kernel says it: the socket lets in nobody but root and the gateway's own user, and they may do everything.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use super::Api;
use super::answer::{Refused, refused};
use super::keys::{Key, Scope};
use super::session::{self, Session, SessionId};
use crate::api::answer::Pins;
use crate::model::{Caller, Mono, Reason, Refusal};

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
    proof: Proof,
}

/// By what a caller was let in.
enum Proof {
    /// By nothing: nobody was asked.
    Nothing,
    /// By the kernel's word.
    Local,
    /// By a key.
    Key(Key),
    /// By the cookie of a session.
    Session(SessionId, Session),
}

impl Who {
    /// Somebody who need not say who that is, and may do nothing that asks for a scope.
    #[must_use]
    pub fn anybody() -> Who {
        Who {
            caller: Caller("anybody".into()),
            scopes: BTreeSet::new(),
            proof: Proof::Nothing,
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

    /// What this caller is called: the name of a key, or `uid:` and the number of a user of this machine.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.proof {
            Proof::Key(key) => &key.name,
            Proof::Session(_, session) => &session.key.name,
            Proof::Local | Proof::Nothing => &self.caller.0,
        }
    }

    /// Whether this caller would be let in again: its key may have been revoked meanwhile, or its session be over.
    pub(super) fn is_welcome(&self, api: &Api) -> bool {
        match &self.proof {
            Proof::Nothing | Proof::Local => true,
            Proof::Key(key) => api.keys.has(key),
            Proof::Session(id, _) => api.sessions.has(*id, api.clock().now().mono, &api.keys),
        }
    }

    /// The session of a caller who is signed in.
    ///
    /// # Errors
    /// `unauthorized` for everybody else.
    pub(super) fn session(&self) -> Result<(SessionId, &Session), Refused> {
        match &self.proof {
            Proof::Session(id, session) => Ok((*id, session)),
            Proof::Nothing | Proof::Local | Proof::Key(_) => Err(unauthorized("nobody is signed in here")),
        }
    }

    /// Whether this is root or the gateway's own user, over the Unix socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.proof, Proof::Local)
    }

    /// Whether answers show this caller PINs. Through a cookie none does, whatever its key may see.
    #[must_use]
    pub fn pins(&self) -> Pins {
        match (&self.proof, self.scopes.contains(&Scope::Pins)) {
            (Proof::Session(..), _) | (_, false) => Pins::Hidden,
            (_, true) => Pins::Shown,
        }
    }

    /// Insists that no cookie stands for the key: through one nobody says a PIN, and nothing is told that is
    /// nothing but PINs. Whoever may say them can try them all.
    ///
    /// # Errors
    /// `forbidden`
    pub fn shows_key(&self) -> Result<(), Refused> {
        match self.proof {
            Proof::Session(..) => Err(refused(
                Reason::Forbidden,
                "through a cookie no PIN is said or shown: send the key itself",
            )),
            Proof::Nothing | Proof::Local | Proof::Key(_) => Ok(()),
        }
    }

    /// Insists that this caller may say PINs, and see what is nothing but PINs.
    ///
    /// # Errors
    /// `forbidden`
    pub fn may_try_pins(&self) -> Result<(), Refused> {
        self.may(Scope::Pins)?;
        self.shows_key()
    }
}

impl FromRequestParts<Arc<Api>> for Who {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, api: &Arc<Api>) -> Result<Who, Refused> {
        match head.extensions.get::<Peer>() {
            Some(Peer::Local(uid)) => by_user(*uid, api.own_uid),
            Some(Peer::Network(address)) => match bearer(&head.headers) {
                Some(key) => by_key(key, head, api, address.ip()),
                None => by_cookie(head, api),
            },
            None => Err(unauthorized("nobody knows where this request comes from")),
        }
    }
}

fn by_user(uid: Option<u32>, own: Option<u32>) -> Result<Who, Refused> {
    match uid {
        Some(uid) if uid == 0 || Some(uid) == own => Ok(Who {
            caller: Caller(format!("uid:{uid}")),
            scopes: BTreeSet::from(Scope::ALL),
            proof: Proof::Local,
        }),
        _ => Err(unauthorized("this socket serves root and the gateway's own user")),
    }
}

/// The key that a request shows. Credentials of another scheme are not for us: a proxy asks for its own.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = header.split_once(' ').unwrap_or((header, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn by_key(shown: &str, head: &Parts, api: &Api, address: IpAddr) -> Result<Who, Refused> {
    let now = api.clock().now();
    let key = api
        .keys
        .find(shown, now)
        .ok_or_else(|| no_such_key(api, address, now.mono))?;
    tracing::debug!(key = key.name, path = head.uri.path(), "a key is used");
    Ok(Who {
        caller: caller(&key),
        scopes: key.scopes.clone(),
        proof: Proof::Key(key),
    })
}

/// What is told who shows a key that is on file nowhere. Where the file is spoilt nobody knows whether it was.
pub(super) fn no_such_key(api: &Api, address: IpAddr, now: Mono) -> Refusal {
    match api.keys.are_unreadable() {
        true => Refusal::new(
            Reason::Unauthorized,
            "the gateway cannot read its API keys, and accepts none: its log says why",
        ),
        false => api.wrong_keys.shown(address, now),
    }
}

fn by_cookie(head: &Parts, api: &Api) -> Result<Who, Refused> {
    let cookie = session::cookie(&head.headers, &api.cookie_name)
        .ok_or_else(|| unauthorized("send `authorization: Bearer` with an API key"))?;
    if head.method != Method::GET {
        session::is_from_our_page(&head.headers)?;
    }
    let (id, session) = api
        .sessions
        .find(cookie, api.clock().now(), &api.keys)
        .ok_or_else(|| unauthorized("this session is over: sign in again"))?;
    Ok(Who {
        caller: caller(&session.key),
        scopes: session.key.scopes.clone(),
        proof: Proof::Session(id, session),
    })
}

/// Under which name the jobs of a key stand. Not under its own: a key that gets the name of a revoked one
/// does not get its jobs.
fn caller(key: &Key) -> Caller {
    Caller(format!("key:{}", key.id()))
}

fn unauthorized(message: &str) -> Refused {
    Refused(Refusal::new(Reason::Unauthorized, message))
}
