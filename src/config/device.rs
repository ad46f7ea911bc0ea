//! One lock of the file, and the keys of its family.

use std::time::Duration;

use uuid::Uuid;

use crate::lock::sim::{PROFILES, Setup};
use crate::model::{Alphabet, DeviceId, RadioId};

use super::check::Section;
use super::raw;
use super::{ConfigError, Device, Driver};

pub(super) fn check(typed: raw::Device, section: &Section<'_>) -> Result<Device, ConfigError> {
    let id = section.needed("device_id", typed.device_id.as_ref())?;
    let id = Uuid::parse_str(id).map_err(|_| {
        section.wrong(
            "device_id",
            format!("\"{id}\" is not a UUID; `uuidgen` makes one"),
        )
    })?;
    let name = section.needed("name", typed.name.clone())?;
    if name.trim().is_empty() || name.len() > 200 {
        return Err(section.wrong("name", "write 1 to 200 bytes"));
    }
    let driver = section.needed("driver", typed.driver.as_deref())?;
    let elsewhere = match driver {
        "sim" => None,
        "nuki" => Some(
            "is not written here: write a section [ble], and say `lockbridge pair nuki ADDRESS`".to_owned(),
        ),
        "zwave" => {
            Some("is not written here: write a section [zwave]; its locks are found by themselves".to_owned())
        }
        _ => Some(format!(
            "there is no \"{driver}\"; locks in a [[device]] are simulated (\"sim\"), those of Nuki come with [ble], \
             those of Z-Wave with [zwave]"
        )),
    };
    if let Some(problem) = elsewhere {
        return Err(section.wrong("driver", problem));
    }
    let radio = typed.radio.clone().unwrap_or_else(|| "sim".to_owned());
    if radio.is_empty() {
        return Err(section.wrong("radio", "is empty"));
    }
    Ok(Device {
        id: DeviceId(id),
        name,
        radio: RadioId(radio),
        driver: Driver::Sim(sim(typed, section)?),
    })
}

fn sim(typed: raw::Device, section: &Section<'_>) -> Result<Setup, ConfigError> {
    let profile = section.needed("profile", typed.profile)?;
    let Some(mut setup) = Setup::profile(&profile) else {
        let problem = format!("there is no \"{profile}\"; there are: {}", PROFILES.join(", "));
        return Err(section.wrong("profile", problem));
    };
    let lock = &mut setup.capabilities;
    if let Some(lengths) = typed.lengths {
        if lengths.is_empty() || !lengths.iter().all(|length| (1..=16).contains(length)) {
            return Err(section.wrong(
                "lengths",
                "write numbers of digits, each 1 to 16, as in [4, 5, 6]",
            ));
        }
        lock.lengths = lengths.into_iter().collect();
    }
    if let Some(digits) = typed.alphabet {
        lock.alphabet = Alphabet::parse(&digits).ok_or_else(|| {
            section.wrong("alphabet", "write the digits of the keypad, as in \"123456789\"")
        })?;
    }
    if let Some(prefixes) = typed.forbidden_prefixes {
        if !prefixes.iter().all(|prefix| Alphabet::parse(prefix).is_some()) {
            return Err(section.wrong("forbidden_prefixes", "write digits, as in [\"12\"]"));
        }
        lock.forbidden_prefixes = prefixes;
    }
    lock.capacity = section.number("capacity", typed.capacity, lock.capacity, &(1..=10_000))?;
    lock.name_limit = section.number("name_limit", typed.name_limit, lock.name_limit, &(0..=200))?;
    lock.window = typed.window.unwrap_or(lock.window);
    lock.batch = typed.batch.unwrap_or(lock.batch);
    let ten_minutes = Duration::from_secs(600);
    let patience = Duration::from_millis(100)..=ten_minutes;
    lock.patience = section.span("patience", typed.patience, lock.patience, &patience)?;
    let within = Duration::ZERO..=ten_minutes;
    setup.latency = section.span("latency", typed.latency, setup.latency, &within)?;
    setup.silence_after = section.span("silence_after", typed.silence_after, setup.silence_after, &within)?;
    if let Some(read_back) = typed.read_back {
        setup.show(read_back);
    }
    Ok(setup)
}
