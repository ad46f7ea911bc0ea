//! The Unix socket: the same API for whoever may act as the gateway on its own machine.
//!
//! It lives in `$RUNTIME_DIRECTORY` if the service manager gives one; then a link stands in the data
//! directory, so that commands find it by the configuration alone.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

const FILE: &str = "lockbridge.sock";

/// A socket that is listened on, gone from the file system when dropped.
pub struct Socket {
    path: PathBuf,
    /// The user that it belongs to: the gateway's own.
    pub owner: u32,
}

/// Where commands find the socket.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

/// Listens. The store must be open: that no other gateway uses this data directory is what makes it
/// safe to take an old socket away.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(data_dir: &Path, runtime_dir: Option<&Path>) -> io::Result<(UnixListener, Socket)> {
    let found = path(data_dir);
    clear(&found)?;
    // A data directory that is the runtime directory too needs no link to itself.
    let own = match runtime_dir.filter(|dir| *dir != data_dir) {
        None => found,
        Some(dir) => {
            let own = dir.join(FILE);
            clear(&own)?;
            std::os::unix::fs::symlink(&own, &found)?;
            own
        }
    };
    let listener = UnixListener::bind(&own)?;
    fs::set_permissions(&own, Permissions::from_mode(0o600))?;
    let owner = fs::metadata(&own)?.uid();
    Ok((listener, Socket { path: own, owner }))
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Socket {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The next start clears what is left.
        let _ = fs::remove_file(&self.path);
    }
}
