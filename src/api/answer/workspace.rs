//! The site in Seam's shape.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::Site;
use super::word::{Always, Nothing};

/// The site that a gateway belongs to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "workspace")]
pub struct Workspace {
    /// Its id.
    workspace_id: Uuid,
    /// Its name.
    name: String,
    /// The same.
    company_name: String,
    /// Every lock of this gateway is simulated.
    is_sandbox: bool,
    /// It is at work.
    is_suspended: Always<false>,
    /// There are no publishable keys.
    is_publishable_key_auth_enabled: Always<false>,
    /// There are no such views.
    connect_webview_customization: Customization,
    /// There are no partners.
    connect_partner_name: Nothing,
    /// There are no organizations.
    organization_id: Nothing,
}

/// How a view would look that does not exist here: nothing is customized.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "connect_webview_customization")]
struct Customization {}

/// The site.
#[must_use]
pub fn workspace(site: &Site, is_sandbox: bool) -> Workspace {
    Workspace {
        workspace_id: site.workspace,
        name: site.name.clone(),
        company_name: site.name.clone(),
        is_sandbox,
        is_suspended: Always,
        is_publishable_key_auth_enabled: Always,
        connect_webview_customization: Customization {},
        connect_partner_name: Nothing,
        organization_id: Nothing,
    }
}
