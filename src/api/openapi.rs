//! The OpenAPI document.
/// The document.
#[must_use]
pub fn document() -> serde_json::Value {
    serde_json::json!({})
}
