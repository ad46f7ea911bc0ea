//! The operator's file: the sample is true, and every mistake is told with its place and its cure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lockbridge::config::{Config, ConfigError, Discovery, Driver, data_dir};
use lockbridge::lock::sim::{PROFILES, Setup};
use lockbridge::lock::zwave::Which;
use lockbridge::model::{Addressing, NativeWindow, ReadBack, Settings};

const SAMPLE: &str = include_str!("../config/lockbridge.toml");
const MINIMAL: &str = "[gateway]\nsite = \"s\"\nid = \"g\"\n";
const DOOR: &str = "[[device]]\ndevice_id = \"8e94044d-a4d1-4691-9f7e-e97d3e8a0b73\"\nname = \"Door\"\n\
                    driver = \"sim\"\nprofile = \"slots\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("lockbridge.toml"))
}

/// What is said about a text that must not pass.
fn complaint(text: &str) -> String {
    parse(text)
        .map(|config| config.describe())
        .unwrap_err()
        .to_string()
}

/// The sample with what stands behind a mark made real.
fn uncommented(text: &str, mark: &str) -> String {
    let real = |line: &str| match line.strip_prefix(mark) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(real).collect()
}

#[test]
fn the_sample_shows_the_defaults() {
    let as_is = parse(SAMPLE).unwrap();
    let defaults = MINIMAL
        .replace("\"s\"", "\"villa-7\"")
        .replace("\"g\"", "\"gw1\"");
    assert_eq!(as_is, parse(&defaults).unwrap());
    let spelt_out = uncommented(SAMPLE, "#");
    assert!(spelt_out.lines().count() == SAMPLE.lines().count() && spelt_out != SAMPLE);
    assert_eq!(parse(&spelt_out).unwrap(), as_is);
    assert_eq!(as_is.settings, Settings::default());
}

#[test]
fn the_samples_examples_are_sound_and_show_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "swordfish\n").unwrap();
    let text = uncommented(SAMPLE, "##").replace("/etc/lockbridge/mqtt-password", password.to_str().unwrap());
    let config = parse(&text).unwrap();
    assert_eq!(config.devices.len(), 1);
    assert_eq!(
        config.devices[0].driver,
        Driver::Sim(Setup::profile("slots").unwrap())
    );
    assert_eq!(config.devices[0].radio.0, "sim");
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!((mqtt.host.as_str(), mqtt.port), ("broker.example", 8883));
    let tls = mqtt.tls.as_ref().unwrap();
    assert_eq!(tls.ca, Path::new("/etc/ssl/certs/ca-certificates.crt"));
    assert_eq!(
        tls.identity.as_ref().unwrap().key,
        Path::new("/etc/lockbridge/mqtt.key")
    );
    assert_eq!(
        config.http.identity.as_ref().unwrap().cert,
        Path::new("/etc/lockbridge/tls.crt")
    );
    assert_eq!(mqtt.password.as_ref().unwrap().expose(), "swordfish");
    assert!(!config.describe().contains("swordfish") && !format!("{config:?}").contains("swordfish"));
    let plain = parse(&format!("{MINIMAL}[mqtt]\nurl = \"mqtt://localhost:1883\""))
        .unwrap()
        .mqtt
        .unwrap();
    assert_eq!(plain.reply_prefix, "lockbridge/s/reply/");
    assert_eq!(plain.show_names, mqtt.show_names);
    assert_eq!(
        (plain.keep_alive, plain.backoff_max),
        (mqtt.keep_alive, mqtt.backoff_max)
    );
    let zwave = config.zwave.as_ref().unwrap();
    assert_eq!((zwave.host.as_str(), zwave.port), ("zwave.example", 3000));
    assert_eq!(zwave.locks[0].which, Which::Node(5));
    let near = parse(&format!("{MINIMAL}[zwave]\nurl = \"ws://127.0.0.1:3000\"")).unwrap();
    assert!(!near.all_simulated(), "what is real cannot be steered");
    let near = near.zwave.unwrap();
    assert_eq!((near.backoff_max, near.tls), (zwave.backoff_max, None));
    assert!(plain.tls.is_none());
    assert_eq!(plain.discovery_prefix, mqtt.discovery_prefix);
}

#[test]
fn the_sample_shows_every_key() {
    let shown: Vec<&str> = SAMPLE
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once(" = "))
        .map(|(key, _)| key)
        .collect();
    let raw = include_str!("../src/config/raw.rs");
    // Shown in prose: each stands for what an example beside it says in another way.
    let prose = ["username_file", "called"];
    let keys = raw.match_indices(": Option<").map(|(at, _)| {
        raw[..at]
            .rsplit(|c: char| !(c.is_ascii_lowercase() || c == '_'))
            .next()
            .unwrap()
    });
    let mut seen = 0;
    for key in keys.filter(|key| !["mqtt", "zwave", "ble"].contains(key) && !prose.contains(key)) {
        assert!(shown.contains(&key), "the sample does not show `{key}`");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn home_assistant_is_told_nothing_unless_it_is_asked_for() {
    let with = |line: &str| {
        parse(&format!(
            "{MINIMAL}[mqtt]\nurl = \"mqtt://localhost:1883\"\n{line}"
        ))
    };
    for (line, expected, says) in [
        ("", Discovery::Off, "off"),
        ("discovery = \"off\"", Discovery::Off, "off"),
        (
            "discovery = \"device\"",
            Discovery::Device,
            "one message for each device",
        ),
        (
            "discovery = \"component\"",
            Discovery::Component,
            "one message for each entity",
        ),
    ] {
        let config = with(line).unwrap();
        assert_eq!(config.mqtt.as_ref().unwrap().discovery, expected, "{line}");
        let told = config.describe();
        assert!(
            told.contains(&format!("discovery    below homeassistant: {says}\n")),
            "{told}"
        );
    }
    let wrong = with("discovery = \"on\"").unwrap_err().to_string();
    assert!(wrong.contains("`on`") && wrong.contains("`device`"), "{wrong}");
}

#[test]
fn every_profile_can_be_overridden() {
    for profile in PROFILES {
        let door = DOOR.replace("slots", profile);
        let keys = "lengths = [7]\nalphabet = \"246\"\nforbidden_prefixes = [\"22\"]\ncapacity = 5\nname_limit = 9\n\
                    read_back = \"masked\"\nwindow = \"minutes\"\nbatch = false\nlatency = \"5ms\"\n\
                    patience = \"3s\"\nsilence_after = \"2s\"\nradio = \"attic\"\n";
        let config = parse(&format!("{MINIMAL}{door}{keys}")).unwrap();
        assert_eq!(config.devices[0].radio.0, "attic");
        let Driver::Sim(setup) = &config.devices[0].driver;
        let lock = &setup.capabilities;
        assert_eq!((lock.capacity, lock.name_limit, lock.batch), (5, 9, false));
        assert_eq!(
            (lock.read_back, lock.window),
            (ReadBack::Masked, NativeWindow::Minutes)
        );
        assert!(
            config
                .describe()
                .contains("read_back masked, window minutes, latency 5ms")
        );
        // Codes that show no digits can only be found by a slot that we chose.
        assert_eq!(lock.addressing, Addressing::Chosen);
        assert_eq!(
            (setup.latency, lock.patience),
            (Duration::from_millis(5), Duration::from_secs(3))
        );
    }
}

#[test]
fn mistakes_are_told_with_place_and_cure() {
    let after = |text: &str| format!("{MINIMAL}{text}");
    let cases = [
        (
            after("[http]\nlisen = \"x\""),
            "lockbridge.toml:5: unknown key `lisen` in [http]; did you mean `listen`?",
        ),
        (
            after("[htpt]\n"),
            "lockbridge.toml:4: unknown key `htpt`; did you mean `http`?",
        ),
        (
            after("[http]\nzebra = 1"),
            "unknown key `zebra` in [http]; remove it",
        ),
        (
            after(&format!("{DOOR}capcity = 3")),
            "lockbridge.toml:9: unknown key `capcity` in [[device]]; did you mean `capacity`?",
        ),
        (
            "[gateway]\nid = \"g\"".to_owned(),
            "lockbridge.toml:1: `site` in [gateway]: is missing",
        ),
        (
            "[gateway]\nid = \"g\"\nsite = \"a/b\"".to_owned(),
            "lockbridge.toml:3: `site` in [gateway]: \"a/b\" does not go into a topic",
        ),
        (
            after("[schedule]\nsecond_look = \"30s\""),
            "`second_look` in [schedule]: 30s is not within 1m to 2m",
        ),
        (
            after("[schedule]\nlead = \"soon\""),
            "`lead` in [schedule]: \"soon\" is not a span of time",
        ),
        (
            after("[schedule]\nlead = 10"),
            "lockbridge.toml:5: `lead` in [schedule]: invalid type: integer `10`, expected a string",
        ),
        (
            after("[limits]\ncodes = 0"),
            "`codes` in [limits]: 0 is not within 1 to 1000000",
        ),
        (
            after("[http]\nlisten = \"0.0.0.0:8480\""),
            "needs tls_cert and tls_key",
        ),
        (
            after("[http]\ntls_cert = \"c\""),
            "`tls_cert` in [http]: needs tls_key too",
        ),
        (
            after("[http]\ntls_key = \"k\""),
            "`tls_key` in [http]: needs tls_cert too",
        ),
        (
            after("[http]\ntls_cert = \"$CREDENTIALS_DIRECTORY/c\"\ntls_key = \"k\""),
            "`tls_cert` in [http]: $CREDENTIALS_DIRECTORY is not set",
        ),
        (
            after("[mqtt]\nurl = \"mqtts://b:8883\""),
            "`ca` in [mqtt]: is missing: the file of the authorities",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://[::1]:1883\"\nca = \"c\""),
            "must begin with mqtts://",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://[::1]:1883\"\nkeep_alive = \"1s\""),
            "1s is not within 5s to 1h",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://[::1]:1883\"\nusername = \"u\"\nusername_file = \"/dev/null\""),
            "`username_file` in [mqtt]",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://b.example:1883\""),
            "set allow_plaintext = true",
        ),
        (
            after(
                "[zwave]\nurl = \"ws://127.0.0.1:3000\"\n[[zwave.lock]]\nnode = 5\n[[zwave.lock]]\nnode = 5",
            ),
            "names the same lock as a section before",
        ),
        (
            after("[zwave]\nurl = \"ws://127.0.0.1:3000\"\n[[zwave.lock]]\nnode = 5\nread_back = \"none\""),
            "whether it is in use",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://u:swordfish@b:1883\""),
            "is not of the form mqtt://host:port",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://[::1]\""),
            "is not of the form mqtt://host:port",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://[::1]:1883\"\nreply_prefix = \"a/#\""),
            "`reply_prefix` in [mqtt]",
        ),
        (
            after("[mqtt]\nurl = \"mqtt://[::1]:1883\"\npassword_file = \"/nowhere/x\""),
            "`password_file` in [mqtt]: /nowhere/x",
        ),
        (
            after("[ble]\nadapter = \"hci 0\""),
            "lockbridge.toml:5: `adapter` in [ble]: is no name",
        ),
        (after("[ble]\nlinks = 0"), "`links` in [ble]"),
        (
            after("[clock]\nuntrusted = \"maybe\""),
            "lockbridge.toml:5: `untrusted` in [clock]: unknown variant `maybe`, expected `hold` or `proceed`",
        ),
        (
            after(&format!("{DOOR}{DOOR}")),
            "lockbridge.toml:10: `device_id` in [[device]]: 8e94044d-a4d1-4691-9f7e-e97d3e8a0b73 is another device's too",
        ),
        (after(&DOOR.replace("8e94", "xxxx")), "is not a UUID"),
        (after(&DOOR.replace("slots", "slot")), "there are: slots, fixed-8"),
        (
            after(&DOOR.replace("\"sim\"", "\"nuki\"")),
            "`driver` in [[device]]: is not written here: write a section [ble], and say `lockbridge pair nuki",
        ),
        (
            after(&DOOR.replace("\"sim\"", "\"zwave\"")),
            "write a section [zwave]",
        ),
        (
            after(&DOOR.replace("\"sim\"", "\"yale\"")),
            "there is no \"yale\"; locks in a [[device]] are simulated",
        ),
        (after(&format!("{DOOR}lengths = []")), "`lengths` in [[device]]"),
        (after("[gateway\n"), "lockbridge.toml:4: "),
    ];
    for (text, expected) in cases {
        let said = complaint(&text);
        assert!(
            said.contains(expected),
            "{text}\n  said: {said}\n  not:  {expected}"
        );
        assert!(!said.contains("swordfish"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = Config::load(Path::new("/nowhere/lockbridge.toml"))
        .unwrap_err()
        .to_string();
    assert!(said.starts_with("/nowhere/lockbridge.toml: "), "{said}");
    assert!(said.ends_with("name the file with --config"), "{said}");
    // Root is kept from no file, so that none can be shown to everybody who runs this.
    let closed = ConfigError::Unreadable {
        path: PathBuf::from("/etc/lockbridge/lockbridge.toml"),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert!(closed.to_string().contains("run it with sudo"), "{closed}");
}

/// A file with a text, in a folder of its own.
fn on_disk(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockbridge.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

#[test]
fn beside_the_service_all_is_checked_but_what_only_the_service_can_look_at() {
    let secret = |key: &str| format!("{key} = \"$CREDENTIALS_DIRECTORY/{key}\"\n");
    let keys = ["cert", "key", "username_file", "password_file"]
        .map(secret)
        .concat();
    let text = format!("{MINIMAL}[mqtt]\nurl = \"mqtts://b.example:8883\"\nca = \"/etc/ca\"\n{keys}");
    let (_folder, file) = on_disk(&text);
    let strict = Config::load(&file).unwrap_err().to_string();
    assert!(strict.contains("$CREDENTIALS_DIRECTORY is not set"), "{strict}");
    let config = Config::load_beside_service(&file).unwrap();
    let withheld: Vec<&str> = config.withheld().map(|file| file.key.as_str()).collect();
    assert_eq!(withheld, ["cert", "key", "username_file", "password_file"]);
    let told = config.describe();
    let key = format!(
        "not checked  {}:8: `key` in [mqtt]: only the service can look at $CREDENTIALS_DIRECTORY/key\n",
        file.display()
    );
    assert!(told.contains(&key), "{told}");
    let (_folder, file) = on_disk(&format!("{text}keep_alive = \"1s\"\n"));
    let said = Config::load_beside_service(&file).unwrap_err().to_string();
    assert!(
        said.contains("`keep_alive` in [mqtt]: 1s is not within"),
        "{said}"
    );
}

#[test]
fn a_mistake_elsewhere_does_not_hide_where_the_gateway_is() {
    let elsewhere =
        format!("{MINIMAL}data_dir = \"/srv/locks\"\n[htpt]\nlisten = 1\n[schedule]\nlead = 10\n");
    let (_folder, file) = on_disk(&elsewhere);
    assert!(Config::load(&file).is_err());
    assert_eq!(data_dir(&file).unwrap(), Path::new("/srv/locks"));
    // A key that is not one may have been meant for this.
    let (_folder, file) = on_disk(&elsewhere.replace("data_dir", "datadir"));
    let said = data_dir(&file).unwrap_err().to_string();
    assert!(said.contains("did you mean `data_dir`?"), "{said}");
}
