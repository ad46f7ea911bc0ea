//! Takes a message of the server for everything that it could be, as a fuzzer wants it. No part of the program.

use serde::de::DeserializeOwned;

use super::node::Codes;
use super::{agree, hear, node, wire};

/// Makes of a message of the server all that could be made of it, and keeps nothing. It never panics.
pub fn understand(text: &str) {
    if let Ok(wire::Head {
        event: Some(event), ..
    }) = serde_json::from_str(text)
    {
        let _ = hear::meaning(&event);
    }
    if let Ok(hello) = serde_json::from_str(text) {
        let _ = agree(&hello);
    }
    let _ = answer::<wire::Nothing>(text);
    let _ = answer::<wire::UserCode>(text);
    let _ = answer::<wire::OneCredential>(text);
    let _ = answer::<wire::AllCredentials>(text);
    let _ = answer::<wire::OneUser>(text);
    let _ = answer::<wire::Changed>(text);
    let _ = answer::<wire::Added>(text);
    let _ = answer::<wire::Supervised>(text);
    let _ = answer::<wire::Response<wire::DoorLockReport>>(text).map(|told| {
        let report = told.response?;
        wire::bolt(report.current_mode)
    });
    let users: Option<wire::Capabilities<wire::UserCapabilities>> = answer(text);
    let users = users.map(|told| told.capabilities).unwrap_or_default();
    let kinds: Option<wire::Capabilities<wire::CredentialCapabilities>> = answer(text);
    let codes = kinds.map(|told| node::codes_of(users, &told.capabilities, Some("0123#")));
    let codes: Codes = codes.unwrap_or_default();
    let dump: Option<wire::Listening> = answer(text);
    let alone: Option<wire::NodeState> = answer(text);
    let nodes = dump.map(|told| told.state.nodes).unwrap_or_default();
    for node in nodes.iter().chain(alone.as_ref().map(|told| &told.state)) {
        let _ = (node::is_lock(node), node::name(node, None));
        let _ = node::capabilities(node, &codes, None);
        let _ = hear::state(&node.values).count();
    }
}

fn answer<R: DeserializeOwned>(text: &str) -> Option<R> {
    let answer: wire::Answer<R> = serde_json::from_str(text).ok()?;
    answer.result
}
