//! What is measured as JSON, for those who read no Prometheus.

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

/// One family: its type, its help, and its series.
pub(super) fn json(family: &MetricFamily) -> Value {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    };
    let series: Vec<Value> = family.get_metric().iter().map(|metric| series_json(metric, kind)).collect();
    json!({"type": kind, "help": family.help(), "series": series})
}

fn series_json(metric: &Metric, kind: &str) -> Value {
    let labels: Map<String, Value> =
        metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().into())).collect();
    match kind {
        "counter" => json!({"labels": labels, "value": metric.get_counter().get_value()}),
        "histogram" => {
            let histogram = metric.get_histogram();
            let buckets: Map<String, Value> = histogram
                .get_bucket()
                .iter()
                .map(|bucket| (bucket.upper_bound().to_string(), bucket.cumulative_count().into()))
                .collect();
            json!({
                "labels": labels,
                "count": histogram.get_sample_count(),
                "sum": histogram.get_sample_sum(),
                "buckets": buckets,
            })
        }
        _ => json!({"labels": labels, "value": metric.get_gauge().get_value()}),
    }
}
