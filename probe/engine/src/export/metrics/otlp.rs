//! A request for `/v1/metrics` of OpenTelemetry, in the JSON encoding of OTLP 1.x: sums since the start, and gauges.

use super::{Family, Kind, Metrics, Point};
use serde_json::{Value, json};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

impl Metrics {
    /// As a collector takes it. `product` is the version of this program, `host` the name of this machine.
    #[must_use]
    pub fn otlp(&self, product: &str, host: &str) -> Value {
        let metrics: Vec<Value> = self.families.iter().map(|family| self.metric(family)).collect();
        let resource = json!({"attributes": [text("service.name", "apisec-top"), text("service.version", product), text("host.name", host)]});
        let scope = json!({"name": "apisec-top", "version": product});
        json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope, "metrics": metrics}]}]})
    }

    fn metric(&self, family: &Family) -> Value {
        let points: Vec<Value> = family.points.iter().map(|point| self.point(point)).collect();
        let (word, data) = match family.kind {
            Kind::Counter => (
                "sum",
                json!({"aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points}),
            ),
            Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
        };
        let unit = if family.unit.is_empty() { "1" } else { family.unit };
        json!({"name": family.name, "description": family.help, "unit": unit, word: data})
    }

    fn point(&self, point: &Point) -> Value {
        let attributes: Vec<Value> = point.labels.iter().map(|(name, value)| text(name, value)).collect();
        json!({
            "attributes": attributes,
            "startTimeUnixNano": self.start_ns.to_string(),
            "timeUnixNano": self.end_ns.to_string(),
            "asDouble": point.value,
        })
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}
