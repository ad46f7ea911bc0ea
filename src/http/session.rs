//! Who is signed in on the page: a key that was shown once, for which a cookie stands from then on.
//!
//! A browser sends a cookie by itself, whoever makes it do so. So a cookie is worth less than its key: it shows no
//! PINs, and what it asks for by other methods than GET must come from our own page ([`is_from_our_page`]). No script
//! can read it, no other site sends it (`SameSite=Strict`), it goes over TLS alone where there is TLS. Sessions
//! live in memory: a start ends them all, a key that is revoked ends its own, and so do twelve hours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Api;
use super::answer::{Outcome, Refused, refused, told};
use super::keys::{Key, Keys};
use super::who::{Peer, Who, no_such_key};
use crate::api::answer::{self, Always, Done, OneSession, Site};
use crate::api::form::Form;
use crate::model::{Mono, Now, Reason, Timestamp};

/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions of one key; one more ends the oldest.
const MOST: usize = 16;

/// Every session.
#[derive(Default)]
pub(super) struct Sessions {
    /// By the hashes of what their cookies say.
    open: Mutex<BTreeMap<SessionId, Session>>,
}

/// Tells a session from all others. Opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId([u8; 32]);

impl SessionId {
    fn of(cookie: &str) -> SessionId {
        SessionId(Sha256::digest(cookie.as_bytes()).into())
    }
}

/// A key that was signed in with.
#[derive(Clone)]
pub(super) struct Session {
    /// The key.
    pub key: Key,
    /// When it ends.
    pub expires_at: Timestamp,
    until: Mono,
}

impl Sessions {
    /// Begins one, and returns what its cookie is to say.
    pub fn begin(&self, key: Key, now: Now, rng: &mut dyn CryptoRng) -> (Zeroizing<String>, Session) {
        let mut random = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *random);
        let mut cookie = Zeroizing::new(String::with_capacity(2 * random.len()));
        for byte in random.iter() {
            cookie.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
            );
        }
        let session = Session {
            key,
            expires_at: now.wall + LIFE,
            until: now.mono + LIFE,
        };
        let mut open = self.open(now.mono);
        let of_key = |other: &&Session| other.key == session.key;
        if open.values().filter(of_key).count() >= MOST {
            let of_key = open.iter().filter(|(_, other)| other.key == session.key);
            let oldest = of_key.min_by_key(|(_, other)| other.until).map(|(id, _)| *id);
            oldest.and_then(|oldest| open.remove(&oldest));
        }
        open.insert(SessionId::of(&cookie), session.clone());
        (cookie, session)
    }

    /// The session that a cookie stands for; its key is used by that.
    pub fn find(&self, cookie: &str, now: Now, keys: &Keys) -> Option<(SessionId, Session)> {
        let id = SessionId::of(cookie);
        let session = self.open(now.mono).get(&id).cloned()?;
        match keys.uses(&session.key, now) {
            true => Some((id, session)),
            false => {
                self.end(id);
                None
            }
        }
    }

    /// Whether one still lasts.
    pub fn has(&self, id: SessionId, now: Mono, keys: &Keys) -> bool {
        let open = self.open(now);
        open.get(&id).is_some_and(|session| keys.has(&session.key))
    }

    /// Ends one.
    pub fn end(&self, id: SessionId) {
        self.known().remove(&id);
    }

    /// Those that last.
    fn open(&self, now: Mono) -> MutexGuard<'_, BTreeMap<SessionId, Session>> {
        let mut known = self.known();
        known.retain(|_, session| now < session.until);
        known
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<SessionId, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the cookies of a gateway are called. Browsers keep them by host, whatever the port: two gateways behind one
/// name (two SSH tunnels) must not take each other's for their own. Over TLS browsers hold what `__Host-` says:
/// that it came over TLS from this very host.
pub(super) fn cookie_name(site: &Site, over_tls: bool) -> String {
    let prefix = if over_tls { "__Host-" } else { "" };
    let (gateway, ..) = site.account.as_fields();
    format!("{prefix}lockbridge_session_{gateway:08x}")
}

/// What the cookie of that name in a request says; `None` without one.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, cookie_name: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == cookie_name)
        .map(|(_, value)| value)
}

/// Insists that a browser sent a request for our own page: no form of another site can send JSON, and browsers say
/// where a request comes from.
///
/// # Errors
/// `forbidden`
pub(super) fn is_from_our_page(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(CONTENT_TYPE.as_str()).and_then(|kind| kind.split(';').next());
    if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let message = "with a cookie this needs the header `content-type: application/json`";
        return Err(refused(Reason::Forbidden, message));
    }
    let is_ours = match text("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => {
            let origin = text(ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, host)| text(HOST.as_str()) == Some(host))
        }
    };
    match is_ours {
        true => Ok(()),
        false => Err(refused(
            Reason::Forbidden,
            "with a cookie this is done for the gateway's own page alone: the request comes from elsewhere",
        )),
    }
}

/// Begins a session for who shows a key.
pub(super) fn sign_in(
    api: &Api,
    peer: Option<Peer>,
    headers: &HeaderMap,
    form: Form<'_>,
) -> Result<Response, Refused> {
    let shown = form.text("api_key");
    form.close()?;
    is_from_our_page(headers)?;
    let address = by_network(peer)?;
    let now = api.clock().now();
    let key = shown
        .and_then(|shown| api.keys.find(shown.trim(), now))
        .ok_or_else(|| no_such_key(api, address, now.mono))?;
    let (cookie, session) = api.sessions.begin(key, now, &mut *(api.randomness)());
    tracing::info!(key = session.key.name, from = %address, "somebody signed in on the page");
    let life = LIFE.as_secs();
    let mut response = shape(api, &session).into_response();
    set_cookie(api, &mut response, &format!("{}; Max-Age={life}", *cookie));
    Ok(response)
}

/// Who is signed in.
pub(super) fn get(api: &Api, who: &Who, form: Form<'_>) -> Outcome {
    form.close()?;
    let (_, session) = who.session()?;
    Ok(shape(api, session))
}

/// Ends the session.
pub(super) fn sign_out(api: &Api, who: &Who, form: Form<'_>) -> Result<Response, Refused> {
    form.close()?;
    let (id, _) = who.session()?;
    api.sessions.end(id);
    let mut response = told(&Done { ok: Always }).into_response();
    set_cookie(api, &mut response, "; Max-Age=0");
    Ok(response)
}

fn by_network(peer: Option<Peer>) -> Result<IpAddr, Refused> {
    match peer {
        Some(Peer::Network(address)) => Ok(address.ip()),
        Some(Peer::Local(_)) | None => Err(refused(
            Reason::Forbidden,
            "over the Unix socket nobody signs in: there the system says who calls",
        )),
    }
}

fn shape(api: &Api, session: &Session) -> super::answer::Told {
    let key = &session.key;
    told(&OneSession {
        session: answer::session(
            &api.site,
            &key.name,
            key.scopes.iter().copied(),
            session.expires_at,
        ),
        ok: Always,
    })
}

fn set_cookie(api: &Api, response: &mut Response, value: &str) {
    let secure = if api.over_tls { "; Secure" } else { "" };
    let text = Zeroizing::new(format!(
        "{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}",
        api.cookie_name
    ));
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        // What prints headers leaves this one out.
        value.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::keys::default_scopes;
    use rand::SeedableRng;
    use rand::rngs::ChaCha12Rng;

    fn at(seconds: u64) -> Now {
        Now {
            wall: Timestamp(i64::try_from(seconds * 1000).unwrap()),
            mono: Mono(seconds * 1000),
        }
    }

    /// A key of a name, on file.
    fn key(keys: &Keys, name: &str, seed: u64) -> Key {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let shown = keys
            .create(name, default_scopes(), String::new(), &mut rng)
            .unwrap();
        keys.find(&shown, at(0)).unwrap()
    }

    #[test]
    fn a_session_ends_by_itself_by_sign_out_and_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::of(dir.path());
        let office = key(&keys, "office", 1);
        let (sessions, mut rng) = (Sessions::default(), ChaCha12Rng::seed_from_u64(1));
        let (first, _) = sessions.begin(office.clone(), at(0), &mut rng);
        let (second, _) = sessions.begin(office.clone(), at(1), &mut rng);
        assert!(first.len() == 64 && first != second);
        let life = LIFE.as_secs();
        assert!(sessions.find(&first, at(life - 1), &keys).is_some());
        assert!(sessions.find(&first, at(life), &keys).is_none());
        let (id, _) = sessions.find(&second, at(life), &keys).unwrap();
        assert!(sessions.has(id, at(life).mono, &keys) && !sessions.has(id, at(life + 1).mono, &keys));
        let (third, _) = sessions.begin(office, at(life), &mut rng);
        let (id, _) = sessions.find(&third, at(life), &keys).unwrap();
        sessions.end(id);
        assert!(sessions.find(&third, at(life), &keys).is_none());

        // A key of the same name is another one.
        let (last, _) = sessions.begin(key(&keys, "desk", 2), at(life), &mut rng);
        let (id, _) = sessions.find(&last, at(life), &keys).unwrap();
        keys.revoke("desk").unwrap();
        assert!(!sessions.has(id, at(life).mono, &keys));
        key(&keys, "desk", 3);
        assert!(sessions.find(&last, at(life), &keys).is_none());
    }

    #[test]
    fn one_more_session_ends_the_oldest_of_its_key_and_of_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::of(dir.path());
        let (office, desk) = (key(&keys, "office", 1), key(&keys, "desk", 2));
        let (sessions, mut rng) = (Sessions::default(), ChaCha12Rng::seed_from_u64(1));
        let (of_desk, _) = sessions.begin(desk, at(0), &mut rng);
        let begun: Vec<_> = (1..=u64::try_from(MOST).unwrap() + 1)
            .map(|second| sessions.begin(office.clone(), at(second), &mut rng).0)
            .collect();
        let lasts = |cookie: &str| sessions.find(cookie, at(60), &keys).is_some();
        assert!(lasts(&of_desk) && !lasts(&begun[0]));
        assert!(begun[1..].iter().all(|cookie| lasts(cookie)));
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        for (lines, found) in [
            (&[("cookie", "a=b; lockbridge_session=x; c=d")][..], Some("x")),
            (
                &[("cookie", "a=b"), ("cookie", "lockbridge_session=y")],
                Some("y"),
            ),
            (
                &[("cookie", "my_lockbridge_session=x; lockbridge_session2=y")],
                None,
            ),
            (&[("cookie", "lockbridge_session")], None),
            (&[], None),
        ] {
            assert_eq!(cookie(&headers(lines), "lockbridge_session"), found);
        }
    }

    #[test]
    fn each_gateway_has_a_cookie_of_its_own() {
        let name = |site, gateway, over_tls| cookie_name(&Site::new(site, gateway), over_tls);
        let one = name("villa-7", "gw1", false);
        assert_eq!(one, name("villa-7", "gw1", false), "over starts");
        assert_eq!(name("villa-7", "gw1", true), format!("__Host-{one}"));
        for (site, gateway) in [("villa-7", "gw2"), ("villa-8", "gw1")] {
            assert_ne!(one, name(site, gateway, false));
        }
    }

    #[test]
    fn only_json_of_our_own_page_is_taken() {
        const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
        const HERE: (&str, &str) = ("host", "gateway:8480");
        for (lines, taken) in [
            (&[JSON, ("sec-fetch-site", "same-origin")][..], true),
            (&[JSON, ("sec-fetch-site", "none")], true),
            (&[JSON, ("sec-fetch-site", "same-site")], false),
            (&[JSON, ("sec-fetch-site", "cross-site")], false),
            (
                &[
                    JSON,
                    HERE,
                    ("origin", "http://gateway:8480"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
            (&[JSON, HERE, ("origin", "http://gateway:8480")], true),
            (&[JSON, HERE, ("origin", "https://gateway:8480")], true),
            (&[JSON, HERE, ("origin", "http://gateway:9000")], false),
            (&[JSON, HERE, ("origin", "http://elsewhere.example")], false),
            (&[JSON, HERE, ("origin", "null")], false),
            (&[JSON, HERE], false),
            (&[JSON], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (
                &[("content-type", "text/plain"), ("sec-fetch-site", "same-origin")],
                false,
            ),
        ] {
            assert_eq!(is_from_our_page(&headers(lines)).is_ok(), taken, "{lines:?}");
        }
    }
}
