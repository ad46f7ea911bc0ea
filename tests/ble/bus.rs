//! A bus of the test's own, with the limits of a system bus.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dbus::channel::Channel;
use dbus::message::Message;

/// Where libdbus looks for the system bus. It looks once in the life of a process.
pub const ADDRESS: &str = "DBUS_SYSTEM_BUS_ADDRESS";

/// A running `dbus-daemon`.
pub struct Bus {
    daemon: Child,
}

/// The address at which a bus in a folder listens.
pub fn address(folder: &std::path::Path) -> String {
    format!("unix:path={}", folder.join("bus").display())
}

impl Bus {
    /// Starts it at the address that this process has for the system bus.
    pub fn start() -> Bus {
        let address = std::env::var(ADDRESS).expect("the stage sets it");
        let socket = PathBuf::from(address.strip_prefix("unix:path=").expect("the stage sets it so"));
        let _ = std::fs::remove_file(&socket);
        let config = socket.with_file_name("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
  <limit name="max_match_rules_per_connection">512</limit>
  <limit name="max_replies_per_connection">128</limit>
</busconfig>
"#
        );
        std::fs::write(&config, text).expect("a folder of our own");
        let mut daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--nopidfile")
            .arg("--nosyslog")
            .arg("--print-address")
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon is installed: see tests/run");
        let mut line = String::new();
        let said = daemon.stdout.take().expect("piped");
        BufReader::new(said)
            .read_line(&mut line)
            .expect("it says its address");
        assert!(line.starts_with("unix:"), "{line}");
        Bus { daemon }
    }

    /// Rules for signals that all connections together hold.
    pub fn match_rules(&self) -> u32 {
        let mut channel = Channel::open_private(&std::env::var(ADDRESS).unwrap()).unwrap();
        channel.register().unwrap();
        let call = Message::new_method_call(
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.Debug.Stats",
            "GetStats",
        );
        let stats = channel
            .send_with_reply_and_block(call.unwrap(), Duration::from_secs(5))
            .expect("Debian builds it with statistics");
        let stats: dbus::arg::PropMap = stats.read1().unwrap();
        *dbus::arg::prop_cast::<u32>(&stats, "MatchRules").expect("counted")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
