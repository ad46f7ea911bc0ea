//! The OpenAPI document: the table of endpoints and the shapes of answers, in the words of machines.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::endpoint::{Call, ENDPOINTS, Endpoint, Method, Needs};
use super::parameter::{Kind, Parameter, object_schema};
use crate::gateway::Verb;

/// Where the shapes stand in the document.
const SHAPES: &str = "/components/schemas";

/// Refusals by their statuses.
const REFUSALS: [(u16, &str); 9] = [
    (400, "A parameter is missing or wrong, or no PIN suits."),
    (401, "No key, or one that is not known."),
    (
        403,
        "The key may not do this, or a cookie came with a request of another page.",
    ),
    (404, "There is no such thing."),
    (409, "It goes against what is on record."),
    (413, "The body is too large."),
    (
        429,
        "Too many wrong keys from one address, or too many changes of one device in a minute.",
    ),
    (503, "A limit of the gateway is reached, or it is stopping."),
    (507, "The gateway's storage is nearly full."),
];

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut shapes = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = SHAPES.into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let operations: Map<String, Value> = endpoint
            .methods
            .iter()
            .map(|method| {
                (
                    word(*method).to_owned(),
                    operation(endpoint, *method, &mut shapes),
                )
            })
            .collect();
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.extend(operations);
        }
    }
    let refusal = shapes.subschema_for::<Refusal>().to_value();
    let refusals: Map<String, Value> = REFUSALS
        .iter()
        .map(|(status, about)| {
            let headers: &[&str] = match status {
                429 | 503 => &[REQUEST_ID, RETRY_AFTER],
                _ => &[REQUEST_ID],
            };
            (status.to_string(), answer(about, &refusal, headers))
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lockbridge",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Seam's API for access codes, served by a gateway beside the locks.",
            "description": "A parameter that is `null` counts as left out, and one that is not known here is \
                ignored. In a query a list is a name that is repeated, and an empty value is `null`. Every GET \
                takes its parameters in a JSON body as well.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": shapes.take_definitions(true),
            "responses": refusals,
            "headers": headers(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key that `lockbridge keys create` has made.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "lockbridge_session_{gateway}",
                    "description": "What stands for a key that was signed in with; each gateway has a name of its \
                        own for it, with `__Host-` before it over TLS. Through it no PIN is said or shown, and \
                        what is not a GET needs the content type `application/json` and the same origin.",
                },
            },
        },
    })
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
    }
}

fn operation(endpoint: &Endpoint, method: Method, shapes: &mut SchemaGenerator) -> Value {
    let path: Vec<&str> = endpoint.path.split('/').filter(|part| !part.is_empty()).collect();
    let (in_path, free): (Vec<_>, Vec<_>) = endpoint
        .parameters
        .iter()
        .partition(|parameter| is_in_path(endpoint, parameter.name));
    let mut parameters: Vec<Value> = in_path.into_iter().map(path_parameter).collect();
    let mut operation = json!({
        "operationId": operation_id(endpoint, method),
        "summary": endpoint.about,
        "tags": [path.first()],
        "responses": responses(endpoint, shapes),
        "security": [],
    });
    match endpoint.needs {
        Needs::Nothing => {}
        Needs::Key => operation["security"] = json!([{"key": []}, {"session": []}]),
        Needs::Session => operation["security"] = json!([{"session": []}]),
        Needs::OneOf(scopes) => {
            let words: Vec<_> = scopes.iter().map(|scope| format!("`{}`", scope.word())).collect();
            operation["security"] = json!([{"key": []}, {"session": []}]);
            operation["description"] = format!("Needs a key with the scope {}.", words.join(" or ")).into();
        }
    }
    match method {
        Method::Get | Method::Delete => parameters.extend(free.into_iter().filter_map(query_parameter)),
        Method::Post | Method::Put | Method::Patch => {
            operation["requestBody"] = json!({
                "required": free.iter().any(|parameter| parameter.required),
                "content": {"application/json": {"schema": object_schema(free)}},
            });
        }
    }
    parameters.extend(header(endpoint.call));
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

/// What is said in a header.
fn header(call: Call) -> Option<Value> {
    match call {
        Call::Change(_) => Some(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The caller's own name for this change: said again, it gives the first answer.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        })),
        Call::Stream => Some(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The number of the last message that came: the stream goes on after it.",
            "schema": {"type": "integer", "minimum": 0},
        })),
        _ => None,
    }
}

fn operation_id(endpoint: &Endpoint, method: Method) -> String {
    let path = endpoint.path.trim_start_matches('/');
    let path = path.replace('/', "_").replace(['{', '}', '.'], "_");
    format!("{path}_{}", word(method))
}

fn is_in_path(endpoint: &Endpoint, name: &str) -> bool {
    endpoint.path.split('/').any(|part| part == format!("{{{name}}}"))
}

fn path_parameter(parameter: &Parameter) -> Value {
    let mut schema = parameter.kind.schema();
    if schema.get("format").is_none() {
        schema["minLength"] = 1.into();
    }
    json!({
        "name": parameter.name,
        "in": "path",
        "required": true,
        "description": parameter.about,
        "schema": schema,
    })
}

/// `None` for what OpenAPI has no words for: `name.key=value`.
fn query_parameter(parameter: &Parameter) -> Option<Value> {
    if let Kind::Notes { .. } | Kind::Object(_) = parameter.kind {
        return None;
    }
    let mut schema = parameter.kind.schema();
    if !parameter.required && schema["type"] != "array" {
        schema = json!({"anyOf": [schema, {"type": "string", "maxLength": 0}]});
    }
    Some(json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": schema,
    }))
}

fn responses(endpoint: &Endpoint, shapes: &mut SchemaGenerator) -> Value {
    let headers: &[&str] = match endpoint.call {
        Call::Change(_) => &[REQUEST_ID, JOB_ID],
        _ => &[REQUEST_ID],
    };
    let shape = (endpoint.answer)(shapes).to_value();
    let mut responses = Map::new();
    let mut done = answer("Done, or found.", &shape, headers);
    if endpoint.call == Call::Stream {
        done["description"] =
            "Messages without an end. The number of each is its `id`, its kind its `event`, and \
            this its `data`."
                .into();
        done["content"] = json!({"text/event-stream": {"schema": shape}});
    }
    if endpoint.call == Call::Metrics {
        done["description"] = "Figures, by the `Accept` header in one form or the other.".into();
        done["content"] = json!({
            "text/plain": {"schema": shape},
            "application/openmetrics-text": {"schema": shape},
        });
    }
    let links = links(endpoint);
    if !links.is_empty() {
        done["links"] = links.into();
    }
    responses.insert("200".to_owned(), done);
    for (status, _) in REFUSALS {
        if may_be_refused(endpoint, status) {
            let refusal = json!({"$ref": format!("#/components/responses/{status}")});
            responses.insert(status.to_string(), refusal);
        }
    }
    if endpoint.call == Call::Ready {
        responses.insert("503".to_owned(), answer("No new work is taken.", &shape, headers));
    }
    responses.into()
}

/// Where to go on from an answer: with what it names, to every call that asks for that.
fn links(endpoint: &Endpoint) -> Map<String, Value> {
    let mut links = Map::new();
    for (name, place) in named(endpoint.call) {
        for next in ENDPOINTS {
            // There it is one way of two, and so not required.
            let wants = |p: &&Parameter| p.required || next.call == Call::GetCode;
            let asks = |name: &str| next.parameters.iter().filter(wants).any(|p| p.name == name);
            let (one, several) = (name.to_string(), format!("{name}s"));
            let with = match (asks(&one), asks(&several)) {
                (true, _) => json!({one: place}),
                (false, true) => json!({several: [place]}),
                (false, false) => continue,
            };
            for method in next.methods {
                let id = operation_id(next, *method);
                let carrier = match method {
                    Method::Get | Method::Delete => "parameters",
                    _ if is_in_path(next, name) => "parameters",
                    Method::Post | Method::Put | Method::Patch => "requestBody",
                };
                links.insert(id.clone(), json!({"operationId": id, carrier: with}));
            }
        }
    }
    links
}

/// What an answer names, and where it stands there.
fn named(call: Call) -> &'static [(&'static str, &'static str)] {
    match call {
        Call::Change(Verb::Create) => &[
            ("access_code_id", "$response.body#/access_code/access_code_id"),
            ("job_id", "$response.header.lockbridge-job-id"),
        ],
        Call::Change(Verb::CreateMultiple) => &[
            ("access_code_id", "$response.body#/access_codes/0/access_code_id"),
            (
                "common_code_key",
                "$response.body#/access_codes/0/common_code_key",
            ),
            ("job_id", "$response.header.lockbridge-job-id"),
        ],
        Call::Change(Verb::LockDoor | Verb::UnlockDoor) => &[(
            "action_attempt_id",
            "$response.body#/action_attempt/action_attempt_id",
        )],
        Call::GetDevice => &[("device_id", "$response.body#/device/device_id")],
        _ => &[],
    }
}

fn may_be_refused(endpoint: &Endpoint, status: u16) -> bool {
    let has_key = endpoint.needs != Needs::Nothing || endpoint.call == Call::SignIn;
    let is_change = matches!(endpoint.call, Call::Change(_));
    match status {
        401 | 429 | 503 => has_key,
        403 => has_key,
        404 => match endpoint.call {
            Call::ListDevices
            | Call::ListLocks
            | Call::ListEvents
            | Call::ListAttempts
            | Call::GetWorkspace
            | Call::Health
            | Call::Ready
            | Call::Metrics
            | Call::Status
            | Call::ReceiptKey
            | Call::Stream
            | Call::AcceptClock
            | Call::Export
            | Call::Incident
            | Call::ListGroups
            | Call::Doors
            | Call::DryRun
            | Call::SignIn
            | Call::GetSession
            | Call::SignOut
            | Call::Document => false,
            Call::Change(_)
            | Call::GetCode
            | Call::ListCodes
            | Call::GenerateCode
            | Call::GetDevice
            | Call::GetLock
            | Call::Connect
            | Call::Disconnect
            | Call::Remove
            | Call::GetEvent
            | Call::GetAttempt
            | Call::Receipt
            | Call::SignedReceipt
            | Call::Queue
            | Call::WhyCode
            | Call::WhyDevice
            | Call::Verify
            | Call::Reveal
            | Call::Scan
            | Call::Pair
            | Call::Unpair
            | Call::Test
            | Call::Errand
            | Call::Job => true,
        },
        409 => is_change || matches!(endpoint.call, Call::GenerateCode | Call::Export | Call::Unpair),
        507 => is_change || endpoint.call == Call::Export,
        _ => true,
    }
}

fn answer(about: &str, shape: &Value, headers: &[&str]) -> Value {
    let reference = |name: &&str| {
        let reference = format!("#/components/headers/{name}");
        ((*name).to_owned(), json!({"$ref": reference}))
    };
    let headers: Map<String, Value> = headers.iter().map(reference).collect();
    json!({
        "description": about,
        "headers": headers,
        "content": {"application/json": {"schema": shape}},
    })
}

const REQUEST_ID: &str = "seam-request-id";
const RETRY_AFTER: &str = "retry-after";
const JOB_ID: &str = "lockbridge-job-id";

fn headers() -> Value {
    json!({
        REQUEST_ID: {
            "description": "Tells this answer from all others.",
            "required": true,
            "schema": {"type": "string"},
        },
        RETRY_AFTER: {
            "description": "When to try again, in seconds.",
            "required": true,
            "schema": {"type": "integer", "minimum": 0},
        },
        JOB_ID: {
            "description": "The job that the change has become.",
            "required": true,
            "schema": {"type": "string"},
        },
    })
}
