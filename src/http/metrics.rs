//! Figures for Prometheus: in its text form, or as OpenMetrics for who asks for that.
//!
//! They are looked up at the scrape; nothing is kept for them but numbers of what was done. Labels are
//! bounded by the configuration and by words of ours: a device's id at most, and nothing that a caller chose.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Api;
use super::answer::{Refused, refused};
use crate::api::answer::Edges;
use crate::gateway::view::{DeviceView, RadioView, Summary, Trust};
use crate::model::{Reason, Timestamp};
use crate::shell::{Exchanged, Measured};

const OPEN_METRICS: &str = "application/openmetrics-text";

/// All figures, in the form that the caller asks for.
pub async fn metrics(api: &Api, headers: &HeaderMap) -> Result<Response, Refused> {
    let edges = api.edges();
    let summary = api.core.look(|gateway, now| gateway.summary(now)).await?;
    let measured = api.core.measure().await?;
    let figures = Figures {
        summary: &summary,
        measured: &measured,
        edges,
        answers: &api.answers,
        started: Timestamp(api.started),
    };
    let open = figures
        .text()
        .map_err(|_| refused(Reason::Busy, "the figures could not be written; try again"))?;
    let wants_open = headers
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(OPEN_METRICS)));
    let (kind, text) = match wants_open {
        true => ("application/openmetrics-text; version=1.0.0; charset=utf-8", open),
        false => ("text/plain; version=0.0.4; charset=utf-8", plain(&open)),
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

/// OpenMetrics in the older form: there a counter is called by the whole name of its sample, and what has no
/// meaning is left out. All else is the same, as there are counters and gauges only.
fn plain(open: &str) -> String {
    let counters: BTreeSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                // Writing to a string does not fail.
                let _ = write!(text, "# {what} {name}_total {rest}");
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

type Labels = Vec<(&'static str, String)>;
type Samples<Value> = Vec<(Labels, Value)>;

/// What the figures are made of.
struct Figures<'a> {
    summary: &'a Summary,
    measured: &'a Measured,
    edges: Edges,
    answers: &'a [AtomicU64; 5],
    started: Timestamp,
}

impl Figures<'_> {
    /// As OpenMetrics.
    fn text(&self) -> Result<String, fmt::Error> {
        let mut page = Page::default();
        self.gateway(&mut page);
        self.devices(&mut page);
        self.codes(&mut page);
        self.work(&mut page);
        let mut registry = Registry::with_prefix("lockbridge");
        registry.register_collector(Box::new(page));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn gateway(&self, page: &mut Page) {
        let Edges {
            storage_low, broker, ..
        } = self.edges;
        let Summary { clock, radios, .. } = self.summary;
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        page.gauge(
            "build_info",
            "The version of the program, always 1",
            vec![(version, 1.0)],
        );
        page.seconds(
            "start_time",
            "When the gateway was started, since 1970",
            one(unix(self.started)),
        );
        page.gauge(
            "clock_trusted",
            "Whether the clock counts",
            one(truth(clock.trust == Trust::Trusted)),
        );
        let radio = |radio: &RadioView| {
            (
                vec![("radio", radio.radio.0.clone())],
                truth(radio.away.is_none()),
            )
        };
        page.gauge(
            "radio_up",
            "Whether the locks of a radio can be asked",
            radios.iter().map(radio).collect(),
        );
        if let Some(connected) = broker {
            page.gauge(
                "mqtt_connected",
                "Whether a connection to the broker stands",
                one(truth(connected)),
            );
            let waiting = self.summary.last_event.saturating_sub(self.summary.events_sent);
            page.gauge(
                "mqtt_events_waiting",
                "Events that the broker does not have yet",
                one(count(waiting)),
            );
            let replies = self.summary.replies_waiting;
            page.gauge(
                "mqtt_replies_waiting",
                "Answers to callers that wait to be sent",
                one(size(replies)),
            );
        }
        page.gauge(
            "storage_low",
            "Whether the storage is below its reserve",
            one(truth(storage_low)),
        );
        page.bytes(
            "store",
            "What the store occupies on its medium",
            one(count(self.measured.store_bytes)),
        );
    }

    fn devices(&self, page: &mut Page) {
        let summary = self.summary;
        let here = || summary.devices.iter().filter(|device| !device.removed);
        let each = |figure: &dyn Fn(&DeviceView) -> Option<f64>| -> Samples<f64> {
            here()
                .filter_map(|device| Some((of(device), figure(device)?)))
                .collect()
        };
        page.gauge("devices", "Devices of this gateway", one(size(here().count())));
        page.gauge(
            "device_online",
            "Whether a lock answers",
            each(&|d| Some(truth(d.online))),
        );
        page.ratio(
            "device_battery",
            "What is left of a lock's battery, as it last said",
            each(&|d| d.battery.map(|left| f64::from(left) / 100.0)),
        );
        page.gauge(
            "device_rssi_dbm",
            "How loud a lock was heard last over Bluetooth",
            each(&|d| d.advertised.map(|heard| f64::from(heard.rssi))),
        );
        page.seconds(
            "device_seen_ago",
            "Since a lock last answered; not there if it has not since the start",
            each(&|d| d.last_seen.map(|seen| summary.at.since(seen).as_secs_f64())),
        );
        page.gauge(
            "device_commands_waiting",
            "Commands that wait for a lock",
            each(&|d| Some(size(d.pending))),
        );
        page.gauge(
            "device_commands_overdue",
            "Those of them that a lock within reach would have been done with",
            each(&|d| Some(size(d.overdue))),
        );
        page.seconds(
            "device_overdue",
            "For how long the oldest overdue command has been wanted at its door; 0 without one",
            each(&|d| Some(ago(summary, d.overdue_since))),
        );
        page.gauge(
            "device_codes",
            "Codes that a lock holds or may hold",
            each(&|d| Some(size(d.slots_used))),
        );
        page.gauge(
            "device_codes_limit",
            "Codes that a lock can hold",
            each(&|d| Some(f64::from(d.capabilities.capacity))),
        );
        page.gauge(
            "device_codes_unmanaged",
            "Codes on a lock that this gateway did not set",
            each(&|d| Some(size(d.unmanaged))),
        );
        page.gauge(
            "device_drift",
            "Whether a lock holds something else than was proven",
            each(&|d| Some(truth(d.drift))),
        );
    }

    fn codes(&self, page: &mut Page) {
        let summary = self.summary;
        page.gauge(
            "access_codes",
            "Access codes that are not over",
            one(size(summary.codes)),
        );
        page.gauge("groups", "Groups of access codes", one(size(summary.groups)));
        page.gauge(
            "groups_unproven",
            "Groups with a door on which the code is due and not proven",
            one(size(summary.groups_unproven)),
        );
        page.gauge(
            "commands_waiting",
            "Commands that wait for any lock",
            one(size(summary.pending())),
        );
        page.gauge(
            "commands_overdue",
            "Those of them that a lock within reach would have been done with",
            one(size(summary.overdue())),
        );
        let overdue = ago(summary, summary.overdue_since());
        page.seconds(
            "oldest_overdue",
            "For how long the oldest overdue command has been wanted at its door; 0 without one",
            one(overdue),
        );
    }

    fn work(&self, page: &mut Page) {
        let counts = &self.measured.counts;
        page.gauge(
            "jobs_open",
            "Jobs that are accepted and not done",
            one(size(self.summary.jobs_open)),
        );
        page.counter(
            "jobs_accepted",
            "Changes that were accepted, repeats included",
            vec![(Vec::new(), counts.accepted)],
        );
        let refused = counts.refused.iter();
        let refused = refused.map(|(reason, count)| (vec![("reason", reason.word().to_owned())], *count));
        page.counter("jobs_refused", "Changes that were refused", refused.collect());
        let exchanges = Exchanged::ALL.iter().map(|result| {
            let count = counts.exchanges.get(result).copied().unwrap_or(0);
            (vec![("result", result.word().to_owned())], count)
        });
        page.counter(
            "exchanges",
            "Exchanges with locks, by what came of them",
            exchanges.collect(),
        );
        page.counter(
            "events",
            "Events so far: the number of the newest",
            vec![(Vec::new(), self.summary.last_event)],
        );
        let answers = (1..).zip(self.answers).map(|(class, answers)| {
            (
                vec![("class", format!("{class}xx"))],
                answers.load(Ordering::Relaxed),
            )
        });
        page.counter(
            "http_requests",
            "Requests over HTTP, by the class of the answer's status",
            answers.collect(),
        );
    }
}

/// The figures, as they are put together.
#[derive(Debug, Default)]
struct Page(Vec<Figure>);

/// One figure, with its samples in the order in which they are told.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    samples: Kind,
}

#[derive(Debug)]
enum Kind {
    Gauge(Samples<f64>),
    Counter(Samples<u64>),
}

impl Page {
    fn gauge(&mut self, name: &'static str, help: &'static str, samples: Samples<f64>) {
        self.add(name, help, None, Kind::Gauge(samples));
    }

    fn seconds(&mut self, name: &'static str, help: &'static str, samples: Samples<f64>) {
        self.add(name, help, Some(Unit::Seconds), Kind::Gauge(samples));
    }

    fn bytes(&mut self, name: &'static str, help: &'static str, samples: Samples<f64>) {
        self.add(name, help, Some(Unit::Bytes), Kind::Gauge(samples));
    }

    fn ratio(&mut self, name: &'static str, help: &'static str, samples: Samples<f64>) {
        self.add(
            name,
            help,
            Some(Unit::Other("ratio".to_owned())),
            Kind::Gauge(samples),
        );
    }

    fn counter(&mut self, name: &'static str, help: &'static str, samples: Samples<u64>) {
        self.add(name, help, None, Kind::Counter(samples));
    }

    /// A figure of which there is nothing to tell is left out.
    fn add(&mut self, name: &'static str, help: &'static str, unit: Option<Unit>, samples: Kind) {
        let is_empty = match &samples {
            Kind::Gauge(samples) => samples.is_empty(),
            Kind::Counter(samples) => samples.is_empty(),
        };
        if is_empty {
            return;
        }
        self.0.push(Figure {
            name,
            help,
            unit,
            samples,
        });
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for figure in &self.0 {
            let Figure { name, help, unit, .. } = figure;
            let kind = match figure.samples {
                Kind::Gauge(_) => MetricType::Gauge,
                Kind::Counter(_) => MetricType::Counter,
            };
            let begun = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            match &figure.samples {
                Kind::Gauge(samples) => each(samples, begun, ConstGauge::new)?,
                Kind::Counter(samples) => each(samples, begun, ConstCounter::new)?,
            }
        }
        Ok(())
    }
}

fn each<Value: Copy, Metric: EncodeMetric>(
    samples: &Samples<Value>,
    mut figure: MetricEncoder<'_>,
    metric: impl Fn(Value) -> Metric,
) -> Result<(), fmt::Error> {
    match samples.as_slice() {
        [(labels, value)] if labels.is_empty() => metric(*value).encode(figure),
        samples => samples.iter().try_for_each(|(labels, value)| {
            let sample = figure.encode_family(labels)?;
            metric(*value).encode(sample)
        }),
    }
}

fn of(device: &DeviceView) -> Labels {
    vec![("device_id", device.device.0.to_string())]
}

fn one(value: f64) -> Samples<f64> {
    vec![(Vec::new(), value)]
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn ago(summary: &Summary, since: Option<Timestamp>) -> f64 {
    since.map_or(0.0, |since| summary.at.since(since).as_secs_f64())
}

fn unix(at: Timestamp) -> f64 {
    at.since(Timestamp(0)).as_secs_f64()
}

/// Exact up to 2^53, which no figure here reaches.
#[expect(
    clippy::cast_precision_loss,
    reason = "figures are floating-point numbers to Prometheus"
)]
fn count(number: u64) -> f64 {
    number as f64
}

fn size(number: usize) -> f64 {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}
