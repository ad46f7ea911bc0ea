//! One of Seam's SDKs, and the scripts that it plays.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::Rig;

/// An SDK of one language in one version.
pub struct Sdk {
    version: &'static str,
    program: PathBuf,
    ending: &'static str,
    /// It sends a `create_multiple` again by itself if no answer came.
    pub repeats: bool,
}

impl Sdk {
    pub fn python(version: &'static str) -> Sdk {
        Sdk {
            version,
            program: root().join(format!("target/sdk/python-{version}/bin/python")),
            ending: "py",
            // 1.210.0 sends POST, and repeats none.
            repeats: version != "1.210.0",
        }
    }

    pub fn node(version: &'static str) -> Sdk {
        let program = match version {
            // It does not run on the Node of every system that we build on.
            "1.245.0" => own_node(),
            _ => PathBuf::from("node"),
        };
        Sdk {
            version,
            program,
            ending: "mjs",
            repeats: true,
        }
    }

    /// Plays a scenario with the gateway as its endpoint.
    #[track_caller]
    pub fn play(&self, scenario: &str, rig: &Rig, more: &[(&str, &str)]) {
        insist_on_the_end(self.start(scenario, rig, rig.address(), more));
    }

    /// Starts a scenario that speaks to the gateway through this address.
    pub fn start(&self, scenario: &str, rig: &Rig, endpoint: &str, more: &[(&str, &str)]) -> Child {
        let script = root().join(format!("tests/sdk/{scenario}.{}", self.ending));
        Command::new(&self.program)
            .arg(script)
            // Neither proxies nor options of Seam's from outside.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("VERSION", self.version)
            .env("GATEWAY", rig.address())
            .env("ENDPOINT", format!("http://{endpoint}"))
            .env("KEY", &rig.key)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", self.program.display()))
    }
}

/// A script that ends early without an error has not shown anything.
#[track_caller]
pub fn insist_on_the_end(script: Child) {
    let output = script.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.ends_with("played to the end\n"),
        "{}\n{told}{said}",
        output.status
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Node that npm installed, whatever machine this is.
fn own_node() -> PathBuf {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "x64",
        other => panic!("npm has no Node for {other}"),
    };
    root().join(format!("tests/sdk/node_modules/node-linux-{arch}/bin/node"))
}
