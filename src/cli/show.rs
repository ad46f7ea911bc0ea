//! What a gateway answers, as tables for people.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Failure;
use super::client::{Gateway, segment};

pub(super) async fn devices(gateway: &Gateway) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for device in all_devices(gateway).await? {
        let properties = &device["properties"];
        let ours = &properties["lockbridge"];
        rows.push(vec![
            cell(&device["device_id"]),
            cell(&device["display_name"]),
            cell(&ours["driver"]),
            state(&device),
            format!(
                "{}/{}",
                cell(&ours["codes_on_device"]),
                cell(&properties["max_active_codes_supported"])
            ),
            cell(&ours["pending"]),
            cell(&ours["next_try"]),
            cell(&ours["waiting"]),
        ]);
    }
    let titles = [
        "DEVICE_ID",
        "NAME",
        "DRIVER",
        "STATE",
        "CODES",
        "PENDING",
        "NEXT_TRY",
        "WAITING",
    ];
    Ok(table(&titles, rows))
}

fn state(device: &Value) -> String {
    let error = device["errors"][0]["error_code"].as_str();
    match error {
        Some("device_removed") => "removed",
        _ if device["properties"]["online"] == true => "online",
        _ => "offline",
    }
    .to_owned()
}

pub(super) async fn codes(
    gateway: &Gateway,
    device: Option<&str>,
    show_pins: bool,
) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for device in some_devices(gateway, device).await? {
        let which = json!({"device_id": device["device_id"]});
        let listed = gateway.post("/access_codes/list", which).await?;
        for code in items(&listed["access_codes"]) {
            rows.push(vec![
                cell(&code["access_code_id"]),
                cell(&device["display_name"]),
                cell(&code["name"]),
                pin(&code["code"], show_pins),
                cell(&code["status"]),
                cell(&code["starts_at"]),
                cell(&code["ends_at"]),
                cell(&code["common_code_key"]),
            ]);
        }
    }
    let titles = [
        "ACCESS_CODE_ID",
        "DEVICE",
        "NAME",
        "CODE",
        "STATUS",
        "STARTS_AT",
        "ENDS_AT",
        "COMMON_CODE_KEY",
    ];
    Ok(table(&titles, rows))
}

pub(super) async fn queue(gateway: &Gateway, device: Option<&str>) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for device in some_devices(gateway, device).await? {
        let path = format!("/lockbridge/v1/devices/{}/queue", cell(&device["device_id"]));
        let waiting = gateway.get(&path).await?;
        for command in items(&waiting["queue"]) {
            rows.push(vec![
                cell(&device["display_name"]),
                cell(&command["access_code_id"]),
                cell(&command["aim"]),
                cell(&command["reason"]),
                cell(&command["tries"]),
                cell(&command["since"]),
                cell(&command["next_try"]),
            ]);
        }
        for code in items(&waiting["upcoming"]) {
            rows.push(vec![
                cell(&device["display_name"]),
                cell(&code["access_code_id"]),
                cell(&code["aim"]),
                "not_due".to_owned(),
                "0".to_owned(),
                "-".to_owned(),
                cell(&code["scheduled_at"]),
            ]);
        }
    }
    let titles = [
        "DEVICE",
        "ACCESS_CODE_ID",
        "AIM",
        "REASON",
        "TRIES",
        "SINCE",
        "NEXT_TRY",
    ];
    Ok(table(&titles, rows))
}

pub(super) async fn receipt(gateway: &Gateway, group: &str, show_pins: bool) -> Result<String, Failure> {
    let path = format!("/lockbridge/v1/groups/{}", segment(group));
    let receipt = gateway.get(&path).await?;
    let rows = items(&receipt["receipts"]).map(|member| {
        vec![
            cell(&member["device_name"]),
            cell(&member["access_code_id"]),
            pin(&member["code"], show_pins),
            cell(&member["status"]),
            match &member["proven"] {
                Value::Null => "-".to_owned(),
                proven => format!("{} at {}", cell(&proven["how"]), cell(&proven["at"])),
            },
            cell(&member["waiting"]["reason"]),
            cell(&member["waiting"]["next_try"]),
            cell(&member["hint"]),
        ]
    });
    let titles = [
        "DEVICE",
        "ACCESS_CODE_ID",
        "CODE",
        "STATUS",
        "PROVEN",
        "WAITING",
        "NEXT_TRY",
        "HINT",
    ];
    let clock = match receipt["clock"]["trust"].as_str() {
        Some("trusted") | None => String::new(),
        Some(trust) => {
            format!("The clock is {trust}: what falls due waits until its time has certainly come.\n")
        }
    };
    let title = match &receipt["name"] {
        Value::Null => group.to_owned(),
        name => format!("{} ({group})", cell(name)),
    };
    let window = match (&receipt["starts_at"], &receipt["ends_at"]) {
        (Value::Null, _) => "ongoing".to_owned(),
        (from, to) => format!("from {} to {}", cell(from), cell(to)),
    };
    Ok(format!(
        "{title}, {window}: proven {} of {}\n{clock}\n{}",
        cell(&receipt["proven"]),
        cell(&receipt["members"]),
        table(&titles, rows.collect()),
    ))
}

/// A sentence, or one for each device of that name.
pub(super) async fn why(gateway: &Gateway, what: &str) -> Result<String, Failure> {
    let mut devices = all_devices(gateway).await?;
    devices.retain(|device| device["device_id"] == what || device["display_name"] == what);
    let of_device = |device: &Value| format!("/lockbridge/v1/devices/{}/why", cell(&device["device_id"]));
    let paths: Vec<String> = match (devices.is_empty(), Uuid::try_parse(what)) {
        (false, _) => devices.iter().map(of_device).collect(),
        (true, Ok(id)) => vec![format!("/lockbridge/v1/access_codes/{id}/why")],
        (true, Err(_)) => {
            return Err(Failure::other(format!(
                "there is no device {what}, and no access code has such an id; see `lockbridge devices` and \
                 `lockbridge codes`"
            )));
        }
    };
    let mut text = String::new();
    for path in paths {
        let told = gateway.get(&path).await?;
        text.push_str(&cell(&told["why"]["sentence"]));
        text.push('\n');
    }
    Ok(text)
}

pub(super) async fn verify(gateway: &Gateway, device: &str) -> Result<String, Failure> {
    let mut text = String::new();
    for device in some_devices(gateway, Some(device)).await? {
        let path = format!("/lockbridge/v1/devices/{}/verify", cell(&device["device_id"]));
        gateway.post(&path, Value::Null).await?;
        text += &format!(
            "{} is read as soon as its turn comes: `lockbridge queue` and `codes` show what comes of it\n",
            cell(&device["display_name"])
        );
    }
    Ok(text)
}

pub(super) async fn accept_clock(gateway: &Gateway) -> Result<String, Failure> {
    let told = gateway.post("/lockbridge/v1/clock/accept", Value::Null).await?;
    Ok(format!("the clock is {}\n", cell(&told["clock"]["trust"])))
}

async fn all_devices(gateway: &Gateway) -> Result<Vec<Value>, Failure> {
    let listed = gateway.get("/devices/list").await?;
    Ok(items(&listed["devices"]).cloned().collect())
}

/// The device of an id or a name; all if none is named.
pub(super) async fn some_devices(gateway: &Gateway, named: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut devices = all_devices(gateway).await?;
    if let Some(named) = named {
        devices.retain(|device| device["device_id"] == named || device["display_name"] == named);
        if devices.is_empty() {
            return Err(Failure::other(format!(
                "there is no device {named}; see `lockbridge devices`"
            )));
        }
    }
    Ok(devices)
}

pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn pin(code: &Value, show: bool) -> String {
    match (code, show) {
        (Value::Null, _) => "-".to_owned(),
        (_, false) => "hidden".to_owned(),
        (code, true) => cell(code),
    }
}

/// A value on one line; control characters from outside stay out of the terminal.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect(),
        other => other.to_string(),
    }
}

/// Columns as wide as they need to be.
pub(super) fn table(titles: &[&str], mut rows: Vec<Vec<String>>) -> String {
    rows.insert(0, titles.iter().map(|title| (*title).to_owned()).collect());
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
