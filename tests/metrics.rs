//! Figures for Prometheus: read by promtool and scraped by Prometheus itself, bounded, without a secret, and all
//! of them documented.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{BACK, FRONT, Rig, device};
use serde_json::{Value, json};

fn doors() -> [String; 2] {
    [
        device(FRONT, "Front door", "slots", ""),
        device(BACK, "Back door", "slots", ""),
    ]
}

fn plain(rig: &Rig) -> String {
    rig.text("/metrics")
}

/// The value of a sample, by its name and labels as they stand.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}"))
        .parse()
        .unwrap()
}

/// Names and labels of all samples.
fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

fn on_front(figure: &str) -> String {
    format!("lockbridge_device_{figure}{{device_id=\"{FRONT}\"}}")
}

/// Runs promtool, with something to read; insists that it has nothing to say against it.
#[track_caller]
fn promtool(arguments: &[&str], text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(file.reopen().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}\n{text}");
    assert!(
        !arguments.contains(&"metrics") || output.stderr.is_empty(),
        "{output:?}"
    );
}

/// A gateway with a code that is proven on one door and late on the other, and a refusal.
fn busy() -> Rig {
    let rig = Rig::start(&doors());
    rig.post("/devices/simulate/disconnect", json!({"device_id": BACK}))
        .ok();
    let stay = json!({"device_ids": [FRONT, BACK], "name": "Jane", "starts_at": rig.time(3600), "ends_at": rig.time(86_400)});
    rig.post("/access_codes/create_multiple", stay).ok();
    rig.post("/access_codes/create_multiple", json!({"device_ids": []}));
    rig.advance(2 * 3600);
    rig
}

#[test]
fn the_figures_tell_what_is_there() {
    let rig = busy();
    let text = plain(&rig);
    assert_eq!(value(&text, "lockbridge_devices"), 2.0);
    assert_eq!(value(&text, "lockbridge_access_codes"), 2.0);
    assert_eq!(value(&text, "lockbridge_groups_unproven"), 1.0);
    assert_eq!(value(&text, "lockbridge_commands_overdue"), 1.0);
    assert_eq!(value(&text, "lockbridge_jobs_open"), 1.0);
    assert_eq!(value(&text, "lockbridge_jobs_accepted_total"), 1.0);
    assert_eq!(
        value(&text, "lockbridge_jobs_refused_total{reason=\"invalid_input\"}"),
        1.0
    );
    assert_eq!(value(&text, "lockbridge_radio_up{radio=\"sim\"}"), 1.0);
    assert_eq!(value(&text, "lockbridge_clock_trusted"), 1.0);
    assert_eq!(value(&text, &on_front("online")), 1.0);
    assert_eq!(value(&text, &on_front("codes")), 1.0);
    assert_eq!(value(&text, &on_front("overdue_seconds")), 0.0);
    assert!(value(&text, "lockbridge_exchanges_total{result=\"done\"}") > 0.0);
    assert!(value(&text, "lockbridge_exchanges_total{result=\"silent\"}") > 0.0);
    // Wanted at the door for an hour, and not since it went onto the other one ten minutes before.
    let overdue = value(&text, "lockbridge_oldest_overdue_seconds");
    assert!((3600.0..3700.0).contains(&overdue), "{overdue}");
    let back = text.replace(BACK, FRONT);
    assert!(back.contains(&format!("{} 0.0", on_front("online"))));
    assert!(!text.contains("lockbridge_mqtt_"), "there is no broker");

    rig.post("/devices/simulate/connect", json!({"device_id": BACK}))
        .ok();
    rig.advance(60);
    let text = plain(&rig);
    assert_eq!(value(&text, "lockbridge_groups_unproven"), 0.0);
    assert_eq!(value(&text, "lockbridge_oldest_overdue_seconds"), 0.0);
    assert_eq!(value(&text, "lockbridge_jobs_open"), 0.0);
}

#[test]
fn promtool_has_nothing_to_say() {
    promtool(&["check", "metrics"], &plain(&busy()));
    promtool(&["check", "rules", "config/prometheus/lockbridge.rules.yml"], "");
    promtool(&["test", "rules", "tests/data/lockbridge.rules.test.yml"], "");
}

/// Ends when the test does.
struct Prometheus {
    process: Child,
    address: String,
    /// It must not write into nothing.
    _log: Lines<BufReader<ChildStderr>>,
}

impl Prometheus {
    fn start(dir: &Path, config: &Value) -> Prometheus {
        let file = dir.join("prometheus.yml");
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let listens = log
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains("Listening on"));
        let address = listens
            .expect("it listens")
            .split("address=")
            .nth(1)
            .unwrap()
            .to_owned();
        Prometheus {
            process,
            address,
            _log: log,
        }
    }

    fn query(&self, expression: &str) -> Value {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--get", "--data-urlencode"])
            .arg(format!("query={expression}"))
            .arg(format!("http://{}/api/v1/query", self.address))
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        told["data"]["result"].clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prometheus asks for OpenMetrics first, with a key that may read figures and nothing else.
#[test]
fn prometheus_takes_what_it_asks_for() {
    let mut rig = Rig::new(&doors());
    rig.verbose = true;
    rig.run();
    let key = rig.make_key("prometheus", "metrics");
    let dir = tempfile::tempdir().unwrap();
    let config = json!({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{
            "job_name": "lockbridge",
            "authorization": {"credentials": key},
            "static_configs": [{"targets": [rig.address()]}],
        }],
    });
    let prometheus = Prometheus::start(dir.path(), &config);
    // Once it asks for the third time it has kept what it got the first time.
    rig.says(3, "path=\"/metrics\"");
    let up = prometheus.query("min_over_time(up[1m])");
    assert_eq!(up[0]["value"][1], "1", "{up}");
    let online = prometheus.query(&format!("lockbridge_device_online{{device_id=\"{FRONT}\"}}"));
    assert_eq!(online[0]["value"][1], "1", "{online}");
    let requests = prometheus.query("lockbridge_http_requests_total{class=\"2xx\"}");
    assert!(requests[0]["value"][1].is_string(), "{requests}");
    // Only in OpenMetrics a figure says its unit.
    let open = rig.text_as(
        &key,
        "/metrics",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    );
    assert!(open.contains("# UNIT lockbridge_store_bytes bytes\n") && open.ends_with("# EOF\n"));
}

#[test]
fn a_key_for_figures_reads_figures_and_nothing_else() {
    let rig = Rig::start(&doors());
    let call = |key: &str, path: &str| rig.call("GET", path, &common::bearer(key), "");
    rig.call("GET", "/metrics", "", "")
        .refused(401, "unauthorized", "send");
    let figures = rig.make_key("figures", "metrics");
    assert!(
        rig.text_as(&figures, "/metrics", "text/plain")
            .contains("lockbridge_build_info")
    );
    call(&figures, "/devices/list").refused(403, "forbidden", "codes");
    call(&figures, "/lockbridge/v1/status").refused(403, "forbidden", "codes");
    let doors = rig.make_key("doors", "operate");
    call(&doors, "/metrics").refused(403, "forbidden", "metrics");
}

/// Ten thousand codes make no series more, and none of what is theirs is seen.
#[test]
fn series_are_bounded_by_the_devices() {
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    let devices: Vec<String> = (0..50)
        .map(|n| {
            device(
                &id(n),
                &format!("Door {n}"),
                "slots",
                "capacity = 500\nlengths = [6]",
            )
        })
        .collect();
    let rig = Rig::start(&devices);
    rig.post("/access_codes/create_multiple", json!({"device_ids": []}));
    rig.advance(1);
    let before = series(&plain(&rig));
    let ids: Vec<String> = (0..50).map(id).collect();
    let (starts_at, ends_at) = (rig.time(30 * 86_400), rig.time(31 * 86_400));
    let mut secrets = BTreeSet::new();
    for n in 0..200 {
        let stay = json!({
            "device_ids": ids, "name": format!("Guest {n}"), "starts_at": starts_at, "ends_at": ends_at,
        });
        let made = rig.post("/access_codes/create_multiple", stay).ok();
        for code in made["access_codes"].as_array().unwrap() {
            for key in ["code", "access_code_id", "common_code_key"] {
                secrets.insert(code[key].as_str().unwrap().to_owned());
            }
        }
    }
    let text = plain(&rig);
    assert_eq!(value(&text, "lockbridge_access_codes"), 10_000.0);
    assert_eq!(series(&text), before);
    promtool(&["check", "metrics"], &text);
    let labels: String = series(&text).into_iter().collect();
    assert!(!labels.contains("Guest") && !labels.contains("Door") && !text.contains("seam_"));
    for secret in secrets {
        assert!(!labels.contains(&secret), "{secret}");
    }
}

/// What is told is documented, and what is documented is told.
#[test]
fn every_figure_is_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let documented: BTreeSet<&str> = page
        .split('`')
        .filter(|word| word.starts_with("lockbridge_") && !word.contains(['{', ' ', '*']))
        .collect();
    let text = plain(&busy());
    let told: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(told.is_subset(&documented), "{:?}", told.difference(&documented));
    // Of a broker, a battery and a signal there is nothing to tell here.
    let silent = |name: &str| {
        ["_mqtt_", "_battery_", "_rssi_"]
            .iter()
            .any(|word| name.contains(word))
    };
    let untold: Vec<_> = documented
        .difference(&told)
        .filter(|name| !silent(name))
        .collect();
    assert!(untold.is_empty(), "{untold:?}");
}
