//! The OpenAPI document and the documentation, held against what is served.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lockbridge::api::endpoint::ENDPOINTS;
use lockbridge::api::openapi;
use serde_json::Value;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

#[test]
fn the_document_in_docs_is_the_one_that_is_served() {
    let path = docs("openapi.json");
    let served = serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n";
    if std::env::var_os("LOCKBRIDGE_BLESS").is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == served,
        "docs/openapi.json is not what is served; if the change is meant, \
         `LOCKBRIDGE_BLESS=1 tests/run --test openapi` rewrites it"
    );
}

/// Everything that `$ref` points to is there, and no shape is there for nothing.
#[test]
fn the_document_is_whole() {
    let document = openapi::document();
    let mut named = BTreeSet::new();
    collect(&document, "$ref", &mut named);
    for reference in &named {
        let pointer = reference.strip_prefix('#').expect("of this document");
        assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
    }
    for shape in shapes(&document).keys() {
        let reference = format!("#/components/schemas/{shape}");
        assert!(named.contains(&reference), "nobody refers to {shape}");
    }
    let mut ids = BTreeSet::new();
    collect(&document, "operationId", &mut ids);
    let operations: usize = ENDPOINTS.iter().map(|endpoint| endpoint.methods.len()).sum();
    assert_eq!(ids.len(), operations, "every operation has a name of its own");
}

#[test]
fn every_parameter_and_property_is_documented() {
    let text = std::fs::read_to_string(docs("seam.md")).unwrap();
    let is_named = |name: &str| text.contains(&format!("`{name}`"));
    let mut missing = BTreeSet::new();
    for endpoint in ENDPOINTS {
        if !text.contains(&format!("`{}`", endpoint.path)) {
            missing.insert(endpoint.path.to_owned());
        }
        for parameter in endpoint.parameters {
            if !is_named(parameter.name) {
                missing.insert(format!("{} of {}", parameter.name, endpoint.path));
            }
        }
    }
    for (shape, schema) in shapes(&openapi::document()) {
        let mut names = BTreeSet::new();
        properties(&schema, &mut names);
        missing.extend(
            names
                .iter()
                .filter(|name| !is_named(name))
                .map(|name| format!("{name} of {shape}")),
        );
    }
    assert!(missing.is_empty(), "docs/seam.md does not tell of {missing:#?}");
}

fn shapes(document: &Value) -> serde_json::Map<String, Value> {
    document["components"]["schemas"].as_object().unwrap().clone()
}

/// Every text under this key, wherever it stands.
fn collect(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key).and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        _ => {}
    }
}

/// The names of all properties, wherever they stand.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(named)) = members.get("properties") {
                found.extend(named.keys().cloned());
            }
            members.values().for_each(|member| properties(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, found)),
        _ => {}
    }
}
