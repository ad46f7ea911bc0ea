//! What SIGHUP asks for: files as they are on the disk now.

use std::path::Path;

use tokio::signal::unix::Signal;

use super::{run, supervisor};
use crate::clock::Clock;
use crate::config::Config;
use crate::http;

/// Has HTTPS read its certificate and key again whenever SIGHUP comes. Ends with the configuration once that is sound
/// and says something else than the one that runs.
pub(super) async fn changed(
    mut hangup: Signal,
    path: &Path,
    running: &Config,
    tls: Option<&http::Tls>,
    clock: &Clock,
) -> Config {
    while hangup.recv().await.is_some() {
        supervisor::reloading();
        let sound = Config::load(path)
            .map_err(Into::into)
            .and_then(|config| run::tls_files(&config, clock).map(|_| config));
        match sound {
            Ok(config) if config != *running => {
                tracing::info!(
                    "SIGHUP came: the configuration has changed, and the gateway starts anew with it"
                );
                return config;
            }
            Ok(_) => {}
            Err(why) => tracing::error!(
                why = why.message,
                "SIGHUP came, and the configuration stays as it was"
            ),
        }
        match tls.map(http::Tls::renew) {
            Some(Ok(())) => tracing::info!("SIGHUP came: new callers see the certificate as it is now"),
            Some(Err(why)) => tracing::error!(%why, "SIGHUP came, and the old certificate stays"),
            None => tracing::info!("SIGHUP came: the configuration is the same"),
        }
        supervisor::ready();
    }
    std::future::pending().await
}
