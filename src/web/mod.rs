//! The page at `/`: a few files that are part of the program, and the headers that they go out with.
//!
//! The page is a caller like any other. It holds no secret, so that everybody may fetch it; what it shows
//! it asks for over the API, once somebody has signed in there. It needs no build step, loads nothing from
//! elsewhere, and has neither script nor style but in files of its own: the policy in its headers holds
//! browsers to that, and keeps it out of frames.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

/// What browsers are to let the page do: speak with where it came from, and nothing else.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Debug)]
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// A file below `/web/`.
macro_rules! file {
    ($name:literal, $kind:expr) => {
        File {
            path: concat!("/web/", $name),
            kind: $kind,
            text: include_str!($name),
        }
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every file of the page.
pub const FILES: &[File] = &[
    File {
        path: "/",
        kind: "text/html; charset=utf-8",
        text: include_str!("index.html"),
    },
    file!("app.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("app.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("doors.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("groups.js", SCRIPT),
    file!("kit.js", SCRIPT),
    file!("pair.js", SCRIPT),
    file!("pin.js", SCRIPT),
    file!("words.js", SCRIPT),
];

/// Serves every file at its path.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |routes, file| {
        let tag = tag(file);
        let answer = move |headers: HeaderMap| async move { answer(file, &tag, &headers) };
        routes.route(file.path, get(answer))
    })
}

fn answer(file: &'static File, tag: &HeaderValue, asked: &HeaderMap) -> Response {
    let headers: [(HeaderName, HeaderValue); 6] = [
        (CONTENT_TYPE, HeaderValue::from_static(file.kind)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // Kept, and asked about each time: after an upgrade nobody sees half of the old page.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ETAG, tag.clone()),
    ];
    match is_known(asked, tag) {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, file.text).into_response(),
    }
}

/// Whether the caller has the file already.
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = asked.get_all(IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','));
    known.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    })
}

/// Tells one content of a file from all others.
fn tag(file: &File) -> HeaderValue {
    let hash = Sha256::digest(file.text.as_bytes());
    let hash: Vec<String> = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{}\"", hash.concat())).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is small, and that the policy lets work.
    #[test]
    fn the_page_is_small_and_whole() {
        let bytes: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(bytes < 60_000, "{bytes} bytes");
        for file in &FILES[1..] {
            let name = file.path.rsplit('/').next().unwrap();
            let is_named = FILES.iter().any(|other| other.text.contains(name));
            assert!(is_named, "the page does not name {}", file.path);
        }
        let page = FILES[0].text;
        for forbidden in ["<style", " style=", " onclick=", "javascript:", "src=\"http"] {
            assert!(!page.contains(forbidden), "the policy does not allow {forbidden}");
        }
        let scripts = page.split("<script").skip(1);
        assert!(scripts.clone().count() > 0);
        for script in scripts {
            let (tag, rest) = script.split_once('>').unwrap();
            assert!(
                tag.contains(" src=\"/web/") && rest.starts_with("</script>"),
                "{tag}"
            );
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let (tag, other) = (tag(&FILES[0]), tag(&FILES[1]));
        assert_ne!(tag, other);
        let asked = |text: String| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::try_from(text).unwrap());
            headers
        };
        let (one, two) = (tag.to_str().unwrap(), other.to_str().unwrap());
        for (text, known) in [
            (one.to_owned(), true),
            (format!("W/{one}"), true),
            (format!("{two}, {one}"), true),
            ("*".to_owned(), true),
            (two.to_owned(), false),
        ] {
            assert_eq!(is_known(&asked(text), &tag), known);
        }
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}
