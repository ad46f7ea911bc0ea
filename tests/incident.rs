//! A night with the real program, written down by `lockbridge incident` and played through once more: the bundle
//! holds nothing secret, the plan that is made of it has what happened in it, is judged as the night was, and
//! convicts a core that does wrong. And what was told of many simulated weeks makes nights that come right.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::leaks::leaks;
use common::{BACK, FRONT, Rig, device};
use lockbridge::api::answer::{Bundle, NoBundle, bundle, text};
use lockbridge::model::Mono;
use lockbridge::sabotage::{self, Sabotage};
use lockbridge::sim::{Night, Plan, World, many, story};
use serde_json::{Value, json};

const CELLAR: &str = "11111111-0000-4000-8000-000000000001";
const GUEST: &str = "Philippa Featherstonehaugh";
const HOUR: u64 = 3600;

/// A night: what its bundle says, and what must not stand there.
struct Lived {
    rig: Rig,
    since: String,
    secrets: BTreeSet<String>,
}

impl Lived {
    /// A guest books two doors of which one is out of reach, the gateway is killed, a lock refuses, the stay is cut
    /// short, a PIN is changed, a code is deleted, and all of it ends.
    fn through() -> Lived {
        let mut rig = Rig::start(&[
            device(FRONT, "Front door", "slots", ""),
            device(BACK, "Back door", "keypad-6", ""),
            device(CELLAR, "Cellar", "masked", ""),
        ]);
        let mut secrets: BTreeSet<String> = [
            "Philippa",
            "Featherstonehaugh",
            "featherstonehaugh-party",
            "Front door",
        ]
        .map(str::to_owned)
        .into();
        secrets.insert(rig.key.clone());
        let renamed = json!({"device_id": FRONT, "name": GUEST, "custom_metadata": {"guest": GUEST}});
        rig.post("/devices/update", renamed).ok();
        let before = json!({
            "device_id": CELLAR, "code": "27182818", "name": GUEST, "common_code_key": "featherstonehaugh-party",
        });
        let before = rig.post("/access_codes/create", before).ok();
        rig.advance(5);
        let since = rig.time(0);

        rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
            .ok();
        let stay = json!({
            "device_ids": [FRONT, BACK], "name": GUEST, "starts_at": rig.time(0), "ends_at": rig.time(7200),
        });
        let stay = rig.post("/access_codes/create_multiple", stay).ok();
        rig.advance(20);
        rig.kill();
        rig.run();
        rig.advance(600);
        rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
            .ok();
        rig.advance(60);
        let fault = format!("/lockbridge/v1/sim/devices/{FRONT}/fault");
        rig.post(&fault, json!({"kind": "refuse", "for_s": 40})).ok();
        let other = json!({
            "device_id": FRONT, "code": "314159", "name": GUEST, "starts_at": rig.time(0), "ends_at": rig.time(10_800),
        });
        let other = rig.post("/access_codes/create", other).ok();
        rig.advance(300);
        let key = &stay["access_codes"][0]["common_code_key"];
        let shorter = json!({"common_code_key": key, "ends_at": rig.time(3600)});
        rig.post("/access_codes/update_multiple", shorter).ok();
        rig.advance(60);
        let cellar = &before["access_code"]["access_code_id"];
        rig.post(
            "/access_codes/update",
            json!({"access_code_id": cellar, "code": "38495067"}),
        )
        .ok();
        rig.advance(60);
        let back = &stay["access_codes"][1]["access_code_id"];
        rig.post("/access_codes/delete", json!({"access_code_id": back}))
            .ok();
        rig.advance(60);
        rig.advance(4 * HOUR);
        assert_eq!(rig.pins_on(FRONT).len() + rig.pins_on(BACK).len(), 0);

        secrets.extend(["27182818", "38495067", "314159"].map(str::to_owned));
        for code in [
            &stay["access_codes"][0],
            &stay["access_codes"][1],
            &other["access_code"],
        ] {
            secrets.insert(code["code"].as_str().unwrap().to_owned());
        }
        secrets.insert(key.as_str().unwrap().to_owned());
        Lived { rig, since, secrets }
    }

    fn bundle(&self) -> String {
        self.rig.told(&["incident", "--since", &self.since])
    }
}

fn night(bundle: &str) -> Night {
    Night::of(&Bundle::read(bundle).unwrap()).unwrap()
}

/// Runs the program's `sim incident` on a file with this text.
fn simulate(folder: &Path, text: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let file = folder.join("bundle");
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lockbridge"))
        .args(["sim", "incident", file.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    let said = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), said(output.stdout), said(output.stderr))
}

#[test]
fn a_night_is_written_down_and_played_through_once_more() {
    let lived = Lived::through();
    let text = lived.bundle();
    assert_eq!(
        leaks(
            &vec![("the bundle".to_owned(), text.clone().into_bytes())],
            &lived.secrets
        ),
        [""; 0]
    );
    let told: Value = serde_json::from_str(&text).unwrap();
    let status = |code: &Value| code["status"].as_str().unwrap().to_owned();
    let mut stages: Vec<String> = told["access_codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(status)
        .collect();
    stages.sort();
    assert_eq!(stages, ["gone", "set", "unset", "unset"]);
    assert_eq!(told["pruned_before"], Value::Null);

    let night = night(&text);
    let report = World::new(night.plan().clone(), true).run();
    let story = report.trace.join("\n");
    assert_eq!(report.violation, None, "{story}");
    for happened in [
        "lock 2 is out of reach",
        "lock 2 is heard again",
        "the power fails",
        "lock 1 begins to misbehave: Refuse",
        ": create_multiple",
        ": update_multiple",
        ": update\n",
        ": delete",
    ] {
        assert!(
            story.contains(happened),
            "{happened} is not in the story:\n{story}"
        );
    }
    assert_eq!(report.crashes, 1);
    assert_eq!(World::new(night.plan().clone(), false).run().hash, report.hash);

    let others = many(0..20, 2, |seed| night.with_faults(seed));
    println!("{} nights, {others}", others.runs);
    assert!(others.broken.is_empty(), "{}", others.broken.join("\n\n"));
    assert!(others.struck.len() > 5, "{others}");

    // A core that takes codes off late is convicted by the bundle alone.
    sabotage::commit(Some(Sabotage::RemovesLate));
    let seen = World::new(night.plan().clone(), false).run().violation;
    sabotage::commit(None);
    assert_eq!(seen.map(|seen| seen.invariant), Some("I5"));

    let folder = tempfile::tempdir().unwrap();
    let (status, said, _) = simulate(folder.path(), &text, &["--trace"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains(&story) && said.contains(&format!("{:016x}", report.hash)),
        "{said}"
    );
    let (status, said, _) = simulate(folder.path(), &text, &["--seeds", "3"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("\n3 nights, "), "{said}");
}

#[test]
fn a_bundle_is_a_file_for_its_owner_and_covers_no_other() {
    let rig = Rig::start(&[device(FRONT, "Front door", "slots", "")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("night.json");
    let to = file.to_str().unwrap();
    let said = rig.told(&["incident", "--since", "12h", "--to", to]);
    assert!(said.contains("without PINs and names"), "{said}");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let first = std::fs::read_to_string(&file).unwrap();
    let told: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&told["format"], &told["version"]), (&json!(1), &json!("0.1.0")));

    let refused = |arguments: &[&str], says: &str, status| {
        let output = rig.command(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(says), "`{said}` does not say `{says}`");
    };
    refused(&["incident", "--since", "2d", "--to", to], "is there already", 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    let nowhere = folder.path().join("none/night.json");
    refused(
        &["incident", "--since", "2d", "--to", nowhere.to_str().unwrap()],
        "No such file",
        1,
    );
    refused(
        &["incident", "--since", "yesterday"],
        "how long ago, such as 12h",
        2,
    );
    let ahead = rig.told(&["incident", "--since", "2099-01-01T00:00:00Z"]);
    let ahead: Value = serde_json::from_str(&ahead).unwrap();
    assert_eq!(ahead["events"], json!([]));
    refused(&["incident"], "--since", 2);

    let blind = rig.make_key("blind", "codes,pins,operate");
    let path = "/lockbridge/v1/incident?ago_s=43200";
    rig.call("GET", path, &common::bearer(&blind), "")
        .refused(403, "forbidden", "admin");
}

#[test]
fn what_is_no_bundle_is_refused_in_clear_words() {
    let folder = tempfile::tempdir().unwrap();
    for (text, says) in [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("PIN 1234", "it is no bundle"),
        ("{\"format\": 1, \"version\": \"0.1.0\"}", "it is no bundle"),
        ("{\"devices\": []}", "it is no bundle"),
        (
            "{\"format\": 99, \"version\": \"7.2.0\", \"nights\": 3}",
            "use version 7.2.0 or newer",
        ),
    ] {
        let (status, _, said) = simulate(folder.path(), text, &[]);
        assert_eq!(status, Some(1), "{text}: {said}");
        assert!(said.contains(says), "{text}: {said}");
    }
    let (status, _, said) = simulate(folder.path(), "{}", &["--seed", "seven"]);
    assert_eq!(status, Some(2), "{said}");
    let newer = Bundle::read("{\"format\": 2, \"version\": \"0.2.0\"}");
    assert!(matches!(newer, Err(NoBundle::Newer { format: 2, .. })));
}

/// Every kind of trouble that a week has, and that a gateway can tell of, comes out of a bundle again; and none of them
/// convicts a core that does right.
#[test]
fn nights_of_simulated_weeks_come_right() {
    let (weeks, more) = match std::env::var_os("LOCKBRIDGE_FULL") {
        Some(_) => (200, 20),
        None => (30, 1),
    };
    let mut struck: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..weeks {
        let hours = 3 + seed % 48;
        let mut world = World::new(Plan::usual_week(seed), false);
        world.run_until(Mono(0) + Duration::from_secs(72 * HOUR + seed * 3000));
        let Some((gateway, now)) = world.gateway() else {
            continue;
        };
        let incident = gateway.incident(now.wall - Duration::from_secs(hours * HOUR), now);
        let night = night(&text(&bundle(&incident, "system")));
        let report = World::new(night.plan().clone(), false).run();
        let name = format!("the last {hours} h of week {seed}");
        assert_eq!(report.violation, None, "{}", story(&name, night.plan().clone()));
        for (kind, times) in report.struck {
            *struck.entry(kind).or_default() += times;
        }
        let others = many(0..more, 2, |seed| night.with_faults(seed));
        assert!(others.broken.is_empty(), "{name}: {}", others.broken.join("\n\n"));
    }
    for (kind, times) in &struck {
        println!("{times:>8} {kind}");
    }
    for kind in [
        "lock out of reach",
        "lock refuses",
        "lock says yes and does nothing",
        "our code taken by hand",
        "code added by hand",
        "power cut for a while",
        "clock not synchronised",
        "clock poisoned, ahead",
    ] {
        assert!(struck.contains_key(kind), "{kind} came out of no bundle");
    }
}
