//! Who is signed in on the page.

use schemars::JsonSchema;
use serde::Serialize;

use super::Site;
use super::word::Moment;
use crate::api::Scope;
use crate::model::Timestamp;

/// A session: a key that was shown once, and is stood for by a cookie.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "session")]
pub struct Session {
    /// The name of the key.
    name: String,
    /// What the key may be used for.
    scopes: Vec<&'static str>,
    /// When it ends by itself.
    expires_at: Moment,
    /// The gateway that it is with.
    gateway: Gateway,
}

/// A gateway, by its names.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "gateway")]
struct Gateway {
    /// The site that it belongs to.
    site: String,
    /// What it is called there.
    id: String,
    /// The version of its program.
    version: &'static str,
}

/// A session of a key of this name.
pub fn session(
    site: &Site,
    name: &str,
    scopes: impl IntoIterator<Item = Scope>,
    expires_at: Timestamp,
) -> Session {
    Session {
        name: name.to_owned(),
        scopes: scopes.into_iter().map(Scope::word).collect(),
        expires_at: Moment(expires_at),
        gateway: Gateway {
            site: site.name.clone(),
            id: site.gateway.clone(),
            version: env!("CARGO_PKG_VERSION"),
        },
    }
}
