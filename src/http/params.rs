//! The parameters of a call: a JSON body, a query string, or both together.
//!
//! Seam's SDKs send lists in queries by repeating a name, and say `_strict=true`; people also write
//! commas and brackets, so that without it the query is read generously. The body wins where both
//! name the same parameter.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::answer::Refused;
use crate::model::{Reason, Refusal};

/// Far more than any request needs.
const LARGEST_BODY: usize = 64 * 1024;
/// A body that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parameters of a call, as one JSON object.
pub struct Params(pub Value);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Params, Refused> {
        let (head, body) = request.into_parts();
        let mut params = query(head.uri.query().unwrap_or_default())?;
        let body = tokio::time::timeout(PATIENCE, collect(body))
            .await
            .map_err(|_| Refusal::new(Reason::InvalidJson, "the body did not come in time"))??;
        params.append(&mut parse(&body)?);
        params.remove("_strict");
        Ok(Params(Value::Object(params)))
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, Refusal> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes().to_vec()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Refusal::new(
            Reason::PayloadTooLarge,
            format!("the body has more than {LARGEST_BODY} bytes"),
        )),
        Err(_) => Err(Refusal::new(Reason::InvalidJson, "the body did not come whole")),
    }
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(params)) => Ok(params),
        Ok(_) => Err(Refusal::new(
            Reason::InvalidInput,
            "the body must be one JSON object",
        )),
        // Where, not what: the body may hold a PIN, and messages go to logs.
        Err(error) => Err(Refusal::new(
            Reason::InvalidJson,
            format!(
                "the body is not JSON: line {}, column {}",
                error.line(),
                error.column()
            ),
        )),
    }
}

/// How a parameter is written in a query.
enum Kind {
    Text,
    List,
    Number,
    Flag,
}

fn kind(name: &str) -> Kind {
    match name {
        "device_ids" | "access_code_ids" => Kind::List,
        "limit" | "preferred_code_length" => Kind::Number,
        "attempt_for_offline_device" | "prefer_native_scheduling" | "is_offline_access_code" => Kind::Flag,
        _ => Kind::Text,
    }
}

fn query(query: &str) -> Result<Map<String, Value>, Refusal> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    let strict = pairs().any(|(name, value)| name == "_strict" && value == "true");
    let mut params = Map::new();
    for (name, value) in pairs() {
        let (name, value) = match strict {
            true => (name.as_ref(), value.as_ref()),
            false => (name.strip_suffix("[]").unwrap_or(&name), value.trim()),
        };
        if let Kind::List = kind(name) {
            let list = params.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = list {
                items.extend(list_items(value, strict));
            }
        } else if params
            .insert(name.to_owned(), single(name, value, strict))
            .is_some()
        {
            return Err(Refusal::invalid(name, "is given more than once"));
        }
    }
    Ok(params)
}

fn list_items(value: &str, strict: bool) -> Vec<Value> {
    match strict {
        true if value.is_empty() => Vec::new(),
        true => vec![value.into()],
        false => value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Value::from)
            .collect(),
    }
}

/// What is not of the kind that it should be stays a text, which its reader will complain about.
fn single(name: &str, value: &str, strict: bool) -> Value {
    if value.is_empty() {
        return Value::Null;
    }
    let typed = match kind(name) {
        Kind::Number => value.parse::<u64>().ok().map(Value::from),
        Kind::Flag => match value {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            "True" | "yes" | "1" if !strict => Some(true.into()),
            "False" | "no" | "0" if !strict => Some(false.into()),
            _ => None,
        },
        Kind::Text | Kind::List => None,
    };
    typed.unwrap_or_else(|| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strict_queries_are_taken_literally() {
        let read = query("access_code_ids=a&access_code_ids=b%2Cc&limit=2&name=&foo%5B%5D=1&_strict=true");
        let mut read = read.unwrap();
        read.remove("_strict");
        assert_eq!(
            Value::Object(read),
            json!({"access_code_ids": ["a", "b,c"], "limit": 2, "name": null, "foo[]": "1"})
        );
    }

    #[test]
    fn generous_queries_are_understood() {
        let read = query("access_code_ids[]=a&access_code_ids=b,+c&prefer_native_scheduling=yes&search=+x+");
        assert_eq!(
            Value::Object(read.unwrap()),
            json!({"access_code_ids": ["a", "b", "c"], "prefer_native_scheduling": true, "search": "x"})
        );
        assert!(query("device_id=a&device_id=b").is_err());
    }

    #[test]
    fn bodies() {
        assert!(parse(b"").unwrap().is_empty() && parse(b" \n").unwrap().is_empty());
        assert_eq!(parse(b"[]").unwrap_err().reason, Reason::InvalidInput);
        assert_eq!(parse(b"{\"a\":").unwrap_err().reason, Reason::InvalidJson);
    }
}
