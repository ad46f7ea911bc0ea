//! The page at `/` as a browser uses it: signed in, with a cookie in the place of a key.

use serde_json::{Value, json};

use super::{Answer, Rig};

/// Where one signs in and out.
pub const SESSION: &str = "/lockbridge/v1/session";
/// What a browser says of a request of our own page.
pub const OUR_PAGE: &str = "content-type: application/json\r\nsec-fetch-site: same-origin\r\n";

/// Shows a key, as the page does.
pub fn sign_in(rig: &Rig, key: &str) -> Answer {
    rig.call("POST", SESSION, OUR_PAGE, &json!({"api_key": key}).to_string())
}

/// What a signed-in browser sends: a whole line.
pub fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").expect("a cookie is set");
    let pair = cookie.split(';').next().unwrap();
    assert!(pair.starts_with("lockbridge_session_"), "{cookie}");
    format!("cookie: other=1; {pair}\r\n")
}

/// A page of which somebody is signed in with a key.
pub struct Page<'a> {
    pub rig: &'a Rig,
    pub cookie: String,
}

impl Page<'_> {
    pub fn of<'a>(rig: &'a Rig, key: &str) -> Page<'a> {
        let answer = sign_in(rig, key);
        let cookie = cookie_of(&answer);
        answer.ok();
        Page { rig, cookie }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.rig.call("GET", path, &self.cookie, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, OUR_PAGE, body)
    }

    pub fn call(&self, method: &str, path: &str, headers: &str, body: &Value) -> Answer {
        let headers = format!("{}{headers}", self.cookie);
        self.rig.call(method, path, &headers, &body.to_string())
    }
}

/// Every value under a key, wherever it stands.
pub fn all(value: &Value, key: &str, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key).cloned());
            members.values().for_each(|member| all(member, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}
