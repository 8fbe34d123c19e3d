//! What is measured: Prometheus' text, and the same as JSON.
//!
//! Label values come from short lists: routes, tools, outcomes, and programs that the policy names. Nothing
//! that a caller writes becomes a label.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use serde_json::Value;

use super::record::Record;
use super::{answers, families};
use crate::policy::Policy;
use crate::tools::{self, Account, Decision};

/// Prometheus' text format (prometheus.io, Exposition formats).
pub(super) const TEXT: &str = "text/plain; version=0.0.4";

/// Seconds, from a call that starts nothing to one that takes the longest that a policy grants where it is silent.
const BUCKETS: [f64; 20] = [
    0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0, 600.0,
];

/// Why nobody was recognised.
const AUTH_FAILURES: [&str; 8] =
    ["no-key", "unknown", "expired", "elsewhere", "remote", "forwarded", "unreadable", "too-many"];

/// Why a call was denied or refused: the policy's codes and ours.
const DENIALS: [&str; 16] = [
    "arguments",
    "argument",
    "command",
    "concurrent",
    "directory",
    "flag",
    "program",
    "rate",
    "record",
    "redirection",
    "revoked",
    "stdin",
    "subcommand",
    "syntax",
    "timeout",
    "tool",
];

/// Everything that is measured.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    tool_calls: IntCounterVec,
    tool_duration: HistogramVec,
    tool_in_flight: IntGaugeVec,
    commands: IntCounterVec,
    denials: IntCounterVec,
    auth_failures: IntCounterVec,
    truncated: IntCounter,
    gaps: IntGauge,
    reloaded: IntGauge,
    reloaded_at: IntGauge,
    pub(super) sessions: IntGauge,
    pub(super) connections: IntGauge,
    pub(super) evicted: IntCounter,
    pub(super) refusals_folded: IntCounter,
}

/// What is known when serving starts and never changes.
#[derive(Clone, Debug)]
pub struct Build {
    /// The version of this crate.
    pub version: &'static str,
    /// The commit that it was built from.
    pub revision: &'static str,
    /// The version of the compiler that it was built by.
    pub rustc: &'static str,
    /// Whether every privilege was verified to be gone.
    pub privileges_dropped: bool,
}

impl Metrics {
    /// Every metric, with its known labels at 0.
    ///
    /// `environment` is a label of each; `gaps` is how much is not held.
    pub(super) fn new(build: &Build, environment: Option<String>, record: &Record, gaps: usize) -> Self {
        let labels = environment.map(|value| HashMap::from([("environment".to_owned(), value)]));
        let registry = Registry::new_custom(None, labels).expect("the name of the label is valid");
        let metrics = Self {
            http_requests: counters(
                &registry,
                "http_requests",
                "HTTP requests.",
                &["route", "method", "code"],
            ),
            http_duration: durations(
                &registry,
                "http_request",
                "Seconds from the head of an HTTP request to the head of its answer.",
                "route",
            ),
            tool_calls: counters(&registry, "tool_calls", "Calls of tools.", &["tool", "outcome"]),
            tool_duration: durations(
                &registry,
                "tool_call",
                "Seconds from a call of a tool to its answer, waiting for its turn included.",
                "tool",
            ),
            tool_in_flight: gauges(
                &registry,
                "tool_calls_in_flight",
                "Calls of tools that are not answered yet: those that run, and those that wait for their turn.",
                &["tool"],
            ),
            commands: counters(
                &registry,
                "command_executions",
                "Programs that were started, by the name that the policy gives them.",
                &["command", "outcome"],
            ),
            denials: counters(&registry, "policy_denials", "Calls that were denied or refused.", &["reason"]),
            auth_failures: counters(&registry, "auth_failures", "Requests without a valid key.", &["reason"]),
            truncated: counter(&registry, "output_truncated", "Calls whose output was cut."),
            refusals_folded: counter(
                &registry,
                "record_refusals_folded",
                "Refused requests that share an audit event with others like them.",
            ),
            reloaded: single(
                &registry,
                "config_last_reload_successful",
                "Whether the policy could be used when it was last loaded.",
            ),
            reloaded_at: single(
                &registry,
                "config_last_reload_success_timestamp_seconds",
                "When the policy in use was loaded, in seconds since 1970.",
            ),
            sessions: single(&registry, "sessions", "Sessions of the older protocol that are open."),
            gaps: single(
                &registry,
                "sandbox_gaps",
                "What the policy asks for and the kernel does not hold; /ready names each.",
            ),
            connections: single(&registry, "connections", "Connections that are open."),
            evicted: counter(
                &registry,
                "connections_evicted",
                "Connections that were ended to make room for another.",
            ),
            registry,
        };
        for collector in record.collectors() {
            metrics.register(collector);
        }
        metrics.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        metrics.describe(build, gaps);
        metrics.initialise();
        metrics.reloaded(true);
        metrics
    }

    fn register(&self, collector: Box<dyn Collector>) {
        self.registry.register(collector).expect("each name is registered once");
    }

    fn describe(&self, build: &Build, gaps: usize) {
        gauges(
            &self.registry,
            "build_info",
            "Always 1; the labels say what this is.",
            &["version", "revision", "rustc"],
        )
        .with_label_values(&[build.version, build.revision, build.rustc])
        .set(1);
        let help = "Whether every privilege was verified to be gone.";
        single(&self.registry, "privileges_dropped", help).set(i64::from(build.privileges_dropped));
        self.gaps(gaps);
    }

    /// How much of the policy is not held.
    pub(super) fn gaps(&self, gaps: usize) {
        self.gaps.set(i64::try_from(gaps).unwrap_or(i64::MAX));
    }

    fn initialise(&self) {
        for route in answers::ROUTES {
            self.http_duration.with_label_values(&[route]);
        }
        for (route, method, code) in answers::expected() {
            self.http_requests.with_label_values(&[route, method, &code.to_string()]);
        }
        for tool in tools::catalogue() {
            self.tool_duration.with_label_values(&[tool.name]);
            self.tool_in_flight.with_label_values(&[tool.name]);
            for outcome in tools::OUTCOMES {
                self.tool_calls.with_label_values(&[tool.name, outcome]);
            }
        }
        for reason in DENIALS {
            self.denials.with_label_values(&[reason]);
        }
        for reason in AUTH_FAILURES {
            self.auth_failures.with_label_values(&[reason]);
        }
    }

    /// The programs that a policy names, each with what can become of it.
    pub(super) fn names(&self, policy: &Policy) {
        for rule in policy.profiles().iter().flat_map(|profile| profile.rules()) {
            for outcome in tools::PROGRAM_OUTCOMES {
                self.commands.with_label_values(&[rule.name(), outcome]);
            }
        }
    }

    /// The policy was loaded again, at the start for the first time: whether it could be used.
    pub(super) fn reloaded(&self, success: bool) {
        self.reloaded.set(i64::from(success));
        if success {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.reloaded_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
    }

    /// One answered request.
    pub(super) fn request(&self, path: &str, method: &http::Method, code: http::StatusCode, took: Duration) {
        let (route, method) = (answers::route(path), answers::method(method));
        self.http_requests.with_label_values(&[route, method, code.as_str()]).inc();
        self.http_duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A call that is admitted; it is in flight until the value is dropped.
    pub(super) fn begins(&self, tool: &str) -> InFlight {
        let gauge = self.tool_in_flight.with_label_values(&[tool]);
        gauge.inc();
        InFlight(gauge)
    }

    /// A call that was answered.
    pub(super) fn answered(&self, tool: &str, account: &Account, duration: Duration) {
        self.tool_calls.with_label_values(&[tool, account.outcome]).inc();
        self.tool_duration.with_label_values(&[tool]).observe(duration.as_secs_f64());
        for (program, outcome) in &account.programs {
            self.commands.with_label_values(&[program.as_str(), *outcome]).inc();
        }
        // A call that was taken back while it waited was not denied.
        if account.decision != Decision::Allowed && account.outcome != "cancelled" {
            self.denied(account.reason.unwrap_or("other"));
        }
        if account.truncated {
            self.truncated.inc();
        }
    }

    /// A call that was denied or refused.
    pub(super) fn denied(&self, reason: &str) {
        self.denials.with_label_values(&[reason]).inc();
    }

    /// A request by nobody known.
    pub(super) fn unauthenticated(&self, reason: &str) {
        self.auth_failures.with_label_values(&[reason]).inc();
    }

    /// Everything in Prometheus' text format.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(32 * 1024);
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.expect("writing to memory does not fail");
        text
    }

    /// The same as JSON: `{NAME: {"type", "help", "series": [{"labels", "value"}]}}`; a histogram has `count`,
    /// `sum` and `buckets` (upper bound to cumulative count) in place of `value`.
    pub(super) fn json(&self) -> Value {
        self.registry
            .gather()
            .iter()
            .map(|family| (family.name().to_owned(), families::json(family)))
            .collect()
    }
}

/// A call that is not answered yet.
pub(super) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let counters = IntCounterVec::new(Opts::new(format!("kernos_{name}_total"), help), labels);
    registered(registry, counters)
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::new(format!("kernos_{name}_total"), help))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(format!("kernos_{name}"), help), labels))
}

fn single(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(format!("kernos_{name}"), help))
}

fn durations(registry: &Registry, name: &str, help: &str, label: &str) -> HistogramVec {
    let options =
        HistogramOpts::new(format!("kernos_{name}_duration_seconds"), help).buckets(BUCKETS.to_vec());
    registered(registry, HistogramVec::new(options, &[label]))
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("names and labels are valid");
    registry.register(Box::new(collector.clone())).expect("each name is registered once");
    collector
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::sink::Sink;

    fn metrics() -> Metrics {
        let build = Build { version: "1.2.3", revision: "abc", rustc: "1.95.0", privileges_dropped: true };
        Metrics::new(&build, None, &Record::new(Sink::Text, false, None).unwrap(), 2)
    }

    #[test]
    fn every_metric_is_there_before_anything_happened() {
        let text = String::from_utf8(metrics().text()).unwrap();
        for line in [
            "kernos_build_info{revision=\"abc\",rustc=\"1.95.0\",version=\"1.2.3\"} 1",
            "kernos_config_last_reload_successful 1",
            "kernos_record_events_waiting 0",
            "kernos_record_refusals_folded_total 0",
            "kernos_privileges_dropped 1",
            "kernos_sandbox_gaps 2",
            "kernos_sessions 0",
            "kernos_connections 0",
            "kernos_connections_evicted_total 0",
            "kernos_http_requests_total{code=\"413\",method=\"POST\",route=\"/mcp\"} 0",
            "kernos_tool_calls_total{outcome=\"exited\",tool=\"shell_execute\"} 0",
            "kernos_tool_calls_in_flight{tool=\"shell_execute\"} 0",
            "kernos_auth_failures_total{reason=\"unknown\"} 0",
            "kernos_policy_denials_total{reason=\"flag\"} 0",
            "kernos_record_events_lost_total 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_reload_that_failed_leaves_the_time_of_the_last_that_did_not() {
        let metrics = metrics();
        let loaded = metrics.reloaded_at.get();
        assert!(loaded > 1_700_000_000, "seconds since 1970: {loaded}");
        metrics.reloaded_at.set(5);
        metrics.reloaded(false);
        assert_eq!((metrics.reloaded.get(), metrics.reloaded_at.get()), (0, 5));
        metrics.reloaded(true);
        assert!(metrics.reloaded.get() == 1 && metrics.reloaded_at.get() >= loaded);
    }

    #[test]
    fn the_environment_is_a_label_of_everything() {
        let build = Build { version: "1", revision: "a", rustc: "1", privileges_dropped: true };
        let record = Record::new(Sink::Text, false, None).unwrap();
        let text = Metrics::new(&build, Some("production".to_owned()), &record, 0).text();
        let text = String::from_utf8(text).unwrap();
        let unlabelled = text.lines().filter(|line| line.starts_with("kernos_"));
        assert_eq!(
            unlabelled.filter(|line| !line.contains("environment=\"production\"")).count(),
            0,
            "{text}"
        );
    }

    #[test]
    fn json_says_the_same() {
        let metrics = metrics();
        let account = Account { outcome: "denied", reason: Some("flag"), ..Account::default() };
        metrics.answered("shell_execute", &account, Duration::from_millis(3));
        let json = metrics.json();
        let denied = json["kernos_policy_denials_total"]["series"].as_array().unwrap();
        assert!(denied.contains(&json!({"labels": {"reason": "flag"}, "value": 1.0})), "{denied:?}");
        let took = &json["kernos_tool_call_duration_seconds"]["series"][0];
        assert_eq!((&took["count"], &took["buckets"]["0.005"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn a_route_or_method_that_is_not_known_does_not_become_a_label() {
        let metrics = metrics();
        let method = http::Method::from_bytes(b"BREW").unwrap();
        metrics.request("/coffee", &method, http::StatusCode::NOT_FOUND, Duration::ZERO);
        let text = String::from_utf8(metrics.text()).unwrap();
        let line = "kernos_http_requests_total{code=\"404\",method=\"other\",route=\"other\"} 1";
        assert!(text.lines().any(|one| one == line), "{text}");
    }
}
