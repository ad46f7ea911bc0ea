//! `lockbridge status` and `lockbridge watch`: the whole gateway in one look, once, and again whenever something
//! happens.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::Failure;
use super::client::Gateway;
use super::show::{cell, items, table};

/// Events below the doors.
const EVENTS: usize = 12;
/// Clears a terminal, and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Prints how everything is. Fails, with status 1, if something needs a person.
pub(super) async fn status(gateway: &Gateway, json: bool) -> Result<String, Failure> {
    let status = look(gateway).await?;
    let text = match json {
        true => format!("{status:#}\n"),
        false => page(&status),
    };
    match items(&status["problems"]).count() {
        0 => Ok(text),
        problems => {
            say(&text)?;
            let things = if problems == 1 {
                "thing needs"
            } else {
                "things need"
            };
            Err(Failure::other(format!("{problems} {things} a person")))
        }
    }
}

/// Shows it again whenever something happens; ends with the gateway.
pub(super) async fn watch(gateway: &Gateway) -> Result<String, Failure> {
    let live = io::stdout().is_terminal();
    let mut events = VecDeque::new();
    gateway
        .follow("/lockbridge/v1/stream", async |message| {
            let event = message.lines().find_map(|line| line.strip_prefix("data: "));
            let event: Option<Value> = event.and_then(|data| serde_json::from_str(data).ok());
            if !live && event.is_none() {
                // The first message is the number from which it begins; later ones without an event are signs of life.
                return match message.starts_with("id:") {
                    true => say(&event_line(["TIME", "EVENT", "DOOR", "ACCESS_CODE_ID"])),
                    false => Ok(()),
                };
            }
            let status = look(gateway).await?;
            let line = event.map(|event| told(&event, &names(&status)));
            if !live {
                return line.map_or(Ok(()), |line| say(&line));
            }
            events.extend(line);
            let surplus = events.len().saturating_sub(EVENTS);
            events.drain(..surplus);
            let events: String = events.iter().map(String::as_str).collect();
            say(&format!("{CLEAR}{}\n{events}", page(&status)))
        })
        .await?;
    Err(Failure::other("the gateway stopped"))
}

async fn look(gateway: &Gateway) -> Result<Value, Failure> {
    Ok(gateway.get("/lockbridge/v1/status").await?["status"].take())
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(())
}

/// Names of the doors by their ids.
fn names(status: &Value) -> BTreeMap<String, String> {
    let name = |door: &Value| (cell(&door["device_id"]), cell(&door["name"]));
    items(&status["doors"]).map(name).collect()
}

/// An event on a line.
fn told(event: &Value, names: &BTreeMap<String, String>) -> String {
    let [time, kind, device, code] =
        ["occurred_at", "event_type", "device_id", "access_code_id"].map(|key| cell(&event[key]));
    let door = names.get(&device).unwrap_or(&device);
    event_line([&time, &kind, door, &code])
}

/// When, what, where, and which access code.
fn event_line([time, kind, door, code]: [&str; 4]) -> String {
    format!("{time:24}  {kind:42}  {door:20}  {code}\n")
}

fn page(status: &Value) -> String {
    let mut text = format!(
        "{}/{}, lockbridge {}, started at {}\n",
        cell(&status["site"]),
        cell(&status["gateway"]),
        cell(&status["version"]),
        cell(&status["started_at"]),
    );
    let mut line = |what: &str, says: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what:8}  {says}");
    };
    line(
        "store",
        match status["storage_low"] == true {
            true => "nearly full: new work is refused".to_owned(),
            false => cell(&status["store"]),
        },
    );
    line(
        "broker",
        match &status["broker"] {
            Value::Null => "none".to_owned(),
            broker if broker["connected"] == true => "connected".to_owned(),
            _ => "away".to_owned(),
        },
    );
    for radio in items(&status["radios"]) {
        let name = cell(&radio["radio"]);
        line(
            "radio",
            match radio["up"] == true {
                true => format!("{name}: up"),
                false => format!("{name}: away since {}", cell(&radio["away_since"])),
            },
        );
    }
    let clock = &status["clock"];
    line(
        "clock",
        format!("{} ({})", cell(&clock["trust"]), cell(&clock["source"])),
    );
    line(
        "codes",
        format!(
            "{} in {}, {} of them not yet proven on every door",
            cell(&status["access_codes"]),
            counted(&status["groups"], "group"),
            cell(&status["groups_unproven"]),
        ),
    );
    line(
        "waiting",
        match &status["overdue_since"] {
            Value::Null => format!("{}, none overdue", counted(&status["commands_waiting"], "code")),
            since => format!(
                "{}, {} overdue, the oldest since {}",
                counted(&status["commands_waiting"], "code"),
                cell(&status["commands_overdue"]),
                cell(since),
            ),
        },
    );
    text.push('\n');
    text.push_str(&doors(status));
    let mut problems = items(&status["problems"]).peekable();
    text.push_str(match problems.peek() {
        None => "\nNothing needs a person.\n",
        Some(_) => "\nNeeds a person:\n",
    });
    for problem in problems {
        let _ = writeln!(text, "- {}", cell(&problem["sentence"]));
    }
    text
}

fn doors(status: &Value) -> String {
    let row = |door: &Value| {
        vec![
            cell(&door["name"]),
            match door["online"] == true {
                true => "online".to_owned(),
                false => "offline".to_owned(),
            },
            cell(&door["last_seen"]),
            with_unit(&door["battery"], "%"),
            with_unit(&door["rssi"], " dBm"),
            held(door),
            cell(&door["pending"]),
            cell(&door["overdue"]),
            cell(&door["reason"]),
            cell(&door["next_try"]),
        ]
    };
    let titles = [
        "DOOR",
        "STATE",
        "LAST_SEEN",
        "BATTERY",
        "RSSI",
        "CODES",
        "PENDING",
        "OVERDUE",
        "WAITING",
        "NEXT_TRY",
    ];
    table(&titles, items(&status["doors"]).map(row).collect())
}

/// Codes on a lock, and how many it can hold.
fn held(door: &Value) -> String {
    let [used, free] = ["slots_used", "slots_free"].map(|key| door[key].as_u64().unwrap_or_default());
    format!("{used}/{}", used + free)
}

/// So many of what has this name.
fn counted(count: &Value, one: &str) -> String {
    let more = if *count == 1 { "" } else { "s" };
    format!("{} {one}{more}", cell(count))
}

fn with_unit(figure: &Value, unit: &str) -> String {
    match figure {
        Value::Null => cell(figure),
        figure => format!("{}{unit}", cell(figure)),
    }
}
