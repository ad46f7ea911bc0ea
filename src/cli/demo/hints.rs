//! Lines to try on the gateway that stays: a script for a shell, comments included, so that any
//! part of it can be copied. What has no line to install something first needs nothing installed.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::screen::Screen;
use super::stage::{DOORS, GATEWAY, SITE, Stage};
use crate::api::time;
use crate::cli::Failure;
use crate::clock::Clock;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes them.
pub(super) fn show(stage: &Stage, mqtt: Option<&str>, screen: &mut Screen) -> Result<(), Failure> {
    let mut lines = curl(stage)?;
    lines.push_str(&sdks(stage)?);
    if let Some(url) = mqtt {
        lines.push_str(&broker(url)?);
    }
    screen.act("Now you: a new gateway with the same doors, in real time")?;
    screen.say(&lines)?;
    Ok(screen.say("# Ctrl-C ends the gateway and removes its files.")?)
}

/// The stay of the examples: from now until tomorrow.
fn stay() -> Result<(String, String), Failure> {
    let now = Clock::real().now().wall.floor_second();
    match (time::text(now), time::text(now + DAY)) {
        (Some(starts_at), Some(ends_at)) => Ok((starts_at, ends_at)),
        _ => Err(Failure::other(
            "the machine's clock shows no year of the calendar",
        )),
    }
}

fn curl(stage: &Stage) -> Result<String, Failure> {
    let (starts_at, ends_at) = stay()?;
    let address = stage.address;
    let key_file = quoted(&stage.key_file);
    let config = quoted(&stage.config);
    let program = quoted(&std::env::current_exe()?);
    let [front, back, ..] = DOORS;
    let (front, back) = (front.id, back.id);
    Ok(format!(
        r#"
# The API key, and the way in.
KEY=$(cat {key_file}); API=http://{address}
call() {{ curl -sS -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' "$@"; echo; }}

# Look at the doors, book two of them, move the check-out, and see how far it is.
call $API/devices/list
REPLY=$(call $API/access_codes/create_multiple -d '{{"device_ids":["{front}","{back}"],"name":"Sam","starts_at":"{starts_at}","ends_at":"{ends_at}"}}'); echo "$REPLY"
GROUP=$(echo "$REPLY" | sed 's/.*"common_code_key":"\([^"]*\)".*/\1/')
call $API/lockbridge/v1/groups/$GROUP
call $API/access_codes/update_multiple -d '{{"common_code_key":"'$GROUP'","ends_at":"{later}"}}'
call $API/access_codes/list -d '{{"device_id":"{front}"}}'

# The same for the eye.
{program} devices --config {config}
{program} receipt $GROUP --config {config}
{program} queue --config {config}

# Play fate: a door out of reach and back, what a lock holds, whether a code opens, an hour on.
call $API/devices/simulate/disconnect -d '{{"device_id":"{back}"}}'
call $API/devices/simulate/connect -d '{{"device_id":"{back}"}}'
call $API/lockbridge/v1/sim/devices/{front}/table
call $API/lockbridge/v1/sim/devices/{front}/keypad -d '{{"code":"0000"}}'
call $API/lockbridge/v1/sim/clock -d '{{"advance_s":3600}}'
"#,
        later = later(&ends_at)?,
    ))
}

fn later(ends_at: &str) -> Result<String, Failure> {
    let ends_at = time::parse(ends_at).map_err(Failure::other)?;
    time::text(ends_at + DAY / 6).ok_or_else(|| Failure::other("no such time"))
}

fn sdks(stage: &Stage) -> Result<String, Failure> {
    let (starts_at, ends_at) = stay()?;
    let address = stage.address;
    let key_file = stage.key_file.display();
    let ids: Vec<String> = DOORS.iter().map(|door| format!("\"{}\"", door.id)).collect();
    let ids = ids.join(", ");
    Ok(format!(
        r#"
# With Seam's Python SDK.
pip install seam
python3 - <<'END'
from seam import Seam
seam = Seam(api_key=open("{key_file}").read().strip(), endpoint="http://{address}")
for code in seam.access_codes.create_multiple(
        device_ids=[{ids}],
        name="Kim", starts_at="{starts_at}", ends_at="{ends_at}"):
    print(code.code, code.status, code.common_code_key)
END

# With Seam's Node SDK.
npm install seam
node --input-type=module - <<'END'
import {{ readFileSync }} from 'node:fs'
import {{ Seam }} from 'seam'
const apiKey = readFileSync("{key_file}", 'utf8').trim()
const seam = new Seam({{ apiKey, endpoint: "http://{address}" }})
const codes = await seam.accessCodes.createMultiple({{
  device_ids: [{ids}],
  name: "Max", starts_at: "{starts_at}", ends_at: "{ends_at}",
}})
for (const code of codes) console.log(code.code, code.status, code.common_code_key)
END
"#
    ))
}

fn broker(url: &str) -> Result<String, Failure> {
    let (starts_at, ends_at) = stay()?;
    // The configuration has taken it, so that it has this form.
    let place = url.trim_start_matches("mqtt://").trim_end_matches('/');
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "1883"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let base = format!("lockbridge/{SITE}/{GATEWAY}");
    let reply = format!("lockbridge/{SITE}/reply/me");
    let ids: Vec<String> = DOORS.iter().map(|door| format!("\"{}\"", door.id)).collect();
    let mut lines = format!(
        r#"
# Over MQTT, with mosquitto's tools; a broker that is installed so runs at mqtt://127.0.0.1:1883.
sudo apt-get install mosquitto mosquitto-clients
# In a terminal of its own: everything that is said, replies with PINs among it.
mosquitto_sub -V 5 -h {host} -p {port} -t 'lockbridge/{SITE}/#' -v
# Book, then move the check-out by the common_code_key of the reply.
"#
    );
    // Writing to a string does not fail.
    let _ = writeln!(
        lines,
        r#"mosquitto_pub -V 5 -h {host} -p {port} -q 1 -t {base}/cmd/create_multiple -m '{{"job_id":"try-1","reply_to":"{reply}","progress":true,"device_ids":[{ids}],"name":"Ada","starts_at":"{starts_at}","ends_at":"{ends_at}"}}'
GROUP=paste-it-here
mosquitto_pub -V 5 -h {host} -p {port} -q 1 -t {base}/cmd/update_multiple -m '{{"job_id":"try-2","reply_to":"{reply}","common_code_key":"'$GROUP'","ends_at":"{later}"}}'
# The same message again is the same job: its answer comes, and no second code."#,
        ids = ids.join(","),
        later = later(&ends_at)?,
    );
    Ok(lines)
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match path.chars().all(plain) {
        true => path.into_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}
