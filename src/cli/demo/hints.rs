//! Lines to try on the gateway that stays: a script for a shell, comments included, so that any
//! part of it can be copied. What has no line to install something first needs nothing installed.

use std::path::Path;
use std::time::Duration;

use super::screen::Screen;
use super::stage::{DOORS, GATEWAY, SITE, Stage};
use crate::api::time;
use crate::cli::Failure;
use crate::clock::Clock;
use crate::model::Voucher;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes them.
pub(super) fn show(stage: &Stage, mqtt: Option<&str>, screen: &mut Screen) -> Result<(), Failure> {
    let stay = Stay::from_now().ok_or_else(|| Failure::other("the machine's clock shows no year"))?;
    let mut lines = curl(stage, &stay)?;
    lines.push_str(&sdks(stage, &stay));
    if let Some(url) = mqtt {
        lines.push_str(&broker(url, &stay));
    }
    screen.act("Now you: a new gateway with the same doors, in real time")?;
    screen.say(&lines)?;
    Ok(screen.say("# Ctrl-C ends the gateway and removes its files.")?)
}

/// The times of the examples, as the API takes them.
struct Stay {
    starts_at: String,
    ends_at: String,
    /// A late check-out.
    later: String,
}

impl Stay {
    /// From now until tomorrow; `None` if the clock is beyond the calendar.
    fn from_now() -> Option<Stay> {
        let now = Clock::real(Voucher::System).now().wall.floor_second();
        Some(Stay {
            starts_at: time::text(now)?,
            ends_at: time::text(now + DAY)?,
            later: time::text(now + DAY + DAY / 6)?,
        })
    }
}

fn curl(stage: &Stage, stay: &Stay) -> Result<String, Failure> {
    let Stay {
        starts_at,
        ends_at,
        later,
    } = stay;
    let address = stage.address;
    let key_file = quoted(&stage.key_file);
    let config = quoted(&stage.config);
    let program = quoted(&std::env::current_exe()?);
    let [front, back, ..] = DOORS;
    let (front, back) = (front.id, back.id);
    Ok(format!(
        r#"
# The API key, and the way in.
API=http://{address}; AUTH="Authorization: Bearer $(cat {key_file})"; JSON="Content-Type: application/json"

# Look at the doors, book two of them, move the check-out, and see how far it is.
curl -sS -w "\n" -H "$AUTH" $API/devices/list
REPLY=$(curl -sS -H "$AUTH" -H "$JSON" $API/access_codes/create_multiple -d '{{"device_ids":["{front}","{back}"],"name":"Sam","starts_at":"{starts_at}","ends_at":"{ends_at}"}}'); echo "$REPLY"
GROUP=$(echo "$REPLY" | sed 's/.*"common_code_key":"\([^"]*\)".*/\1/')
curl -sS -w "\n" -H "$AUTH" $API/lockbridge/v1/groups/$GROUP
curl -sS -w "\n" -H "$AUTH" -H "$JSON" $API/access_codes/update_multiple -d '{{"common_code_key":"'$GROUP'","ends_at":"{later}"}}'
curl -sS -w "\n" -H "$AUTH" -H "$JSON" $API/access_codes/list -d '{{"device_id":"{front}"}}'

# The same for the eye.
{program} devices --config {config}
{program} receipt $GROUP --config {config}
{program} queue --config {config}

# Play fate: a door out of reach and back, what a lock holds, whether a code opens, an hour on.
curl -sS -w "\n" -H "$AUTH" -H "$JSON" $API/devices/simulate/disconnect -d '{{"device_id":"{back}"}}'
curl -sS -w "\n" -H "$AUTH" -H "$JSON" $API/devices/simulate/connect -d '{{"device_id":"{back}"}}'
curl -sS -w "\n" -H "$AUTH" $API/lockbridge/v1/sim/devices/{front}/table
curl -sS -w "\n" -H "$AUTH" -H "$JSON" $API/lockbridge/v1/sim/devices/{front}/keypad -d '{{"code":"0000"}}'
curl -sS -w "\n" -H "$AUTH" -H "$JSON" $API/lockbridge/v1/sim/clock -d '{{"advance_s":3600}}'
"#,
    ))
}

fn sdks(stage: &Stage, stay: &Stay) -> String {
    let Stay {
        starts_at, ends_at, ..
    } = stay;
    let address = stage.address;
    let folder = quoted(&stage.folder);
    let ids: Vec<String> = DOORS.iter().map(|door| format!("\"{}\"", door.id)).collect();
    let ids = ids.join(", ");
    format!(
        r#"
# With Seam's Python SDK.
cd {folder}
python3 -m venv python && python/bin/pip install seam
python/bin/python - <<'END'
from seam import Seam
seam = Seam(api_key=open("key").read().strip(), endpoint="http://{address}")
for code in seam.access_codes.create_multiple(
        device_ids=[{ids}],
        name="Kim", starts_at="{starts_at}", ends_at="{ends_at}"):
    print(code.code, code.status, code.common_code_key)
END

# With Seam's Node SDK.
cd {folder}
npm install seam
node --input-type=module - <<'END'
import {{ readFileSync }} from "node:fs"
import {{ Seam }} from "seam"
const apiKey = readFileSync("key", "utf8").trim()
const seam = new Seam({{ apiKey, endpoint: "http://{address}" }})
const codes = await seam.accessCodes.createMultiple({{
  device_ids: [{ids}],
  name: "Max", starts_at: "{starts_at}", ends_at: "{ends_at}",
}})
for (const code of codes) console.log(code.code, code.status, code.common_code_key)
END
"#
    )
}

fn broker(url: &str, stay: &Stay) -> String {
    let Stay {
        starts_at,
        ends_at,
        later,
    } = stay;
    // The configuration has taken it, so that it has this form.
    let place = url.trim_start_matches("mqtt://").trim_end_matches('/');
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "1883"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let to = format!("-V 5 -h {host} -p {port}");
    let commands = format!("lockbridge/{SITE}/{GATEWAY}/cmd");
    let replies = format!("lockbridge/{SITE}/reply");
    let ids: Vec<String> = DOORS.iter().map(|door| format!("\"{}\"", door.id)).collect();
    let ids = ids.join(",");
    format!(
        r#"
# Over MQTT, with mosquitto's tools; the broker that this installs is at mqtt://127.0.0.1:1883.
sudo apt-get install mosquitto mosquitto-clients
# In a terminal of its own: everything that is said, replies with PINs among it.
mosquitto_sub {to} -t 'lockbridge/{SITE}/#' -v
# Book all four doors.
BOOKING='{{"job_id":"try-1","reply_to":"{replies}/me","progress":true,"device_ids":[{ids}],"name":"Ada","starts_at":"{starts_at}","ends_at":"{ends_at}"}}'
mosquitto_pub {to} -q 1 -t {commands}/create_multiple -m "$BOOKING"
# The same message again is the same job: the same answer, and no second code.
GROUP=$(mosquitto_rr {to} -q 1 -t {commands}/create_multiple -e {replies}/again -m "$BOOKING" | sed 's/.*"common_code_key":"\([^"]*\)".*/\1/')
mosquitto_pub {to} -q 1 -t {commands}/update_multiple -m '{{"job_id":"try-2","reply_to":"{replies}/me","common_code_key":"'$GROUP'","ends_at":"{later}"}}'
# After the demo: what the broker has kept of it.
mosquitto_sub {to} -t 'lockbridge/{SITE}/#' --retained-only --remove-retained -W 2
"#
    )
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
