//! The parameters of a call: a JSON body, a query string, or both together.
//!
//! Seam's SDKs send lists in queries by repeating a name, and say `_strict=true`; people also write
//! commas and brackets, so that without it the query is read generously. Our own paths are always read
//! to the letter. What kind a parameter is of stands in the table of endpoints. The body wins over the
//! query where both name the same.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value, json};

use super::answer::Refused;
use crate::api::parameter::{Kind, Parameter};
use crate::model::{Reason, Refusal};

/// Far more than any request needs.
const LARGEST_BODY: usize = 64 * 1024;
/// A body that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Says how a query is to be read.
const STRICT: &str = "_strict";
/// How the paths begin that Seam does not have.
const OURS: &str = "/lockbridge/";

/// The parameters of a call, as one JSON object.
pub struct Params(pub Value);

impl Params {
    /// Reads them: from the path, from the query as the table says, and from the body.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_input`, `payload_too_large`
    pub async fn read(parameters: &[Parameter], head: &mut Parts, body: Body) -> Result<Params, Refused> {
        let ours = head.uri.path().starts_with(OURS);
        let mut params = query(parameters, head.uri.query().unwrap_or_default(), ours)?;
        let body = tokio::time::timeout(PATIENCE, collect(body))
            .await
            .map_err(|_| Refusal::new(Reason::InvalidJson, "the body did not come in time"))??;
        params.append(&mut parse(&body)?);
        params.remove(STRICT);
        let path = RawPathParams::from_request_parts(head, &())
            .await
            .map_err(|_| Refusal::new(Reason::NotFound, "this path cannot be read"))?;
        for (name, value) in &path {
            if parameters.iter().any(|parameter| parameter.name == name) {
                params.insert(name.to_owned(), value.into());
            }
        }
        Ok(Params(Value::Object(params)))
    }
}

/// Where there is no table: the body alone says something.
impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Params, Refused> {
        let (mut head, body) = request.into_parts();
        Params::read(&[], &mut head, body).await
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
    if body.is_empty() {
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

/// Reads a query: to the letter if it is `strict` or says so itself. Names that are not in the table are
/// left out.
fn query(parameters: &[Parameter], query: &str, strict: bool) -> Result<Map<String, Value>, Refusal> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    let strict = strict || pairs().any(|(name, value)| name == STRICT && value == "true");
    let mut params = Map::new();
    for (name, value) in pairs() {
        let value = if strict { &*value } else { value.trim() };
        let repeated = || Refusal::invalid(&name, "is given more than once");
        match Place::find(parameters, &name, strict) {
            None => {}
            Some(Place::Whole(parameter)) => {
                let value = parameter.kind.from_text(value, strict);
                if params.insert(parameter.name.to_owned(), value).is_some() {
                    return Err(repeated());
                }
            }
            Some(Place::Item(parameter, of)) => {
                let list = params.entry(parameter.name).or_insert_with(|| json!([]));
                if let Value::Array(items) = list {
                    items.extend(list_items(of, value, strict));
                }
            }
            Some(Place::Inside(parameter, key, of)) => {
                let object = params.entry(parameter.name).or_insert_with(|| json!({}));
                if let Value::Object(members) = object
                    && members
                        .insert(key.to_owned(), of.from_text(value, strict))
                        .is_some()
                {
                    return Err(repeated());
                }
            }
        }
    }
    Ok(params)
}

/// Where a name in a query belongs.
enum Place<'a> {
    /// A parameter by itself.
    Whole(&'a Parameter),
    /// An item of a list.
    Item(&'a Parameter, &'static Kind),
    /// A member of an object.
    Inside(&'a Parameter, &'a str, &'a Kind),
}

impl<'a> Place<'a> {
    fn find(parameters: &'a [Parameter], name: &'a str, strict: bool) -> Option<Place<'a>> {
        let find = |name: &str| parameters.iter().find(|parameter| parameter.name == name);
        // Strictly read, brackets are part of another name.
        let bare = name.strip_suffix("[]").filter(|_| !strict);
        if let Some(parameter) = find(bare.unwrap_or(name)) {
            return match (&parameter.kind, bare) {
                (Kind::List { of, .. }, _) => Some(Place::Item(parameter, of)),
                (_, None) => Some(Place::Whole(parameter)),
                (_, Some(_)) => None,
            };
        }
        let (object, key) = name.split_once('.')?;
        let parameter = find(object)?;
        match &parameter.kind {
            Kind::Notes { .. } => Some(Place::Inside(parameter, key, &parameter.kind)),
            Kind::Object(inner) => {
                let inner = inner.iter().find(|inner| inner.name == key)?;
                Some(Place::Inside(parameter, key, &inner.kind))
            }
            _ => None,
        }
    }
}

fn list_items(of: &Kind, value: &str, strict: bool) -> Vec<Value> {
    let items = match strict {
        true => vec![value],
        false => value.split(',').map(str::trim).collect(),
    };
    // An empty value is the empty list.
    let items = items.into_iter().filter(|item| !item.is_empty());
    items.map(|item| of.from_text(item, strict)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::endpoint::ENDPOINTS;

    fn read(path: &str, text: &str) -> Result<Value, Refusal> {
        let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.path == path);
        let ours = path.starts_with(OURS);
        query(endpoint.expect("known").parameters, text, ours).map(Value::Object)
    }

    #[test]
    fn strict_queries_are_taken_literally() {
        let text = "access_code_ids=a&access_code_ids=b%2Cc&limit=2&search=&foo%5B%5D=1&access_code_ids[]=d&_strict=true";
        assert_eq!(
            read("/access_codes/list", text).unwrap(),
            json!({"access_code_ids": ["a", "b,c"], "limit": 2, "search": null})
        );
        assert_eq!(
            read("/access_codes/delete", "sync=yes&_strict=true").unwrap(),
            json!({"sync": "yes"}),
            "the check complains about it"
        );
    }

    #[test]
    fn our_own_paths_are_read_to_the_letter() {
        let (since, generous) = ("/lockbridge/v1/incident", "/access_codes/list");
        let blank = "\u{85}";
        assert_eq!(read(since, "since=%C2%85").unwrap(), json!({"since": blank}));
        assert_eq!(read(since, "since=").unwrap(), json!({"since": null}));
        assert_eq!(read(generous, "search=%C2%85").unwrap(), json!({"search": null}));
    }

    #[test]
    fn generous_queries_are_understood() {
        let text = "access_code_ids[]=a&access_code_ids=b,+c&search=+x+&device_id[]=d&limit=x";
        assert_eq!(
            read("/access_codes/list", text).unwrap(),
            json!({"access_code_ids": ["a", "b", "c"], "search": "x", "limit": "x"})
        );
        for (text, read_as) in [("1", true), ("True", true), ("yes", true), ("No", false)] {
            let query = format!("sync={text}");
            assert_eq!(
                read("/access_codes/delete", &query).unwrap(),
                json!({"sync": read_as})
            );
        }
    }

    #[test]
    fn dots_lead_into_objects() {
        let text = "custom_metadata_has.floor=2&custom_metadata_has.a.b=true&created_before.x=1&_strict=true";
        assert_eq!(
            read("/devices/list", text).unwrap(),
            json!({"custom_metadata_has": {"floor": "2", "a.b": true}})
        );
        assert_eq!(
            read("/devices/update", "properties.name=Gate&properties.model=x").unwrap(),
            json!({"properties": {"name": "Gate"}})
        );
    }

    #[test]
    fn a_single_value_comes_once_and_strangers_are_ignored() {
        assert!(read("/devices/get", "device_id=a&device_id=b").is_err());
        assert!(read("/devices/list", "custom_metadata_has.a=1&custom_metadata_has.a=2").is_err());
        assert_eq!(read("/devices/get", "x=1&x=2").unwrap(), json!({}));
    }

    #[test]
    fn bodies() {
        assert!(parse(b"").unwrap().is_empty());
        assert_eq!(parse(b"\t").unwrap_err().reason, Reason::InvalidJson);
        assert_eq!(parse(b"[]").unwrap_err().reason, Reason::InvalidInput);
        assert_eq!(parse(b"{\"a\":").unwrap_err().reason, Reason::InvalidJson);
    }
}
