//! Metrics, as the collectors of others read them: Prometheus' own parser, and the messages of OpenTelemetry.

use std::time::Duration;

use apisec_tests::client::curl;
use apisec_tests::eventually;
use apisec_tests::script::{Script, pypi};
use apisec_tests::server::{self, free_port};
use apisec_tests::watch::{Watch, mark};
use rustix::process::Signal;
use serde_json::Value;
use std::net::Ipv4Addr;

use super::can_run;

const PATIENCE: Duration = Duration::from_secs(180);

/// Reads the text of Prometheus from a URL by its own parser: calls of a service, and the names of all families.
const SCRAPE: Script = Script::python(
    "scrape.py",
    r#"
import json, sys, urllib.request
sys.path.insert(0, sys.argv[1])
from prometheus_client.parser import text_string_to_metric_families
answer = urllib.request.urlopen(sys.argv[2])
text = answer.read().decode()
families = list(text_string_to_metric_families(text))
calls = sum(s.value for f in families if f.name == "apisec_calls" for s in f.samples if s.labels["service"].endswith(sys.argv[3]))
print(json.dumps({"type": answer.headers["Content-Type"], "calls": calls, "text": text,
                  "families": {f.name: f.type for f in families}}))
"#,
);

/// A collector: prints its port, and of each request the sums of a service's paths by metric.
const COLLECTOR: Script = Script::python(
    "collector.py",
    r#"
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
sys.path.insert(0, sys.argv[1])
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json_format.Parse(body, ExportMetricsServiceRequest())
        said = {"path": self.path, "sums": {}, "secret": b"hunter2" in body}
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points:
                labels = {a.key: a.value.string_value for a in point.attributes}
                if labels.get("service", "").endswith(sys.argv[2]) and "path" in labels and metric.HasField("sum"):
                    assert metric.sum.is_monotonic and metric.sum.aggregation_temporality == 2
                    assert 0 < point.start_time_unix_nano <= point.time_unix_nano
                    said["sums"][metric.name] = said["sums"].get(metric.name, 0) + point.as_double
        print(json.dumps(said), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#,
);

#[test]
fn collectors_are_given_what_was_counted_and_no_secret() {
    if !can_run("metrics::collectors_are_given_what_was_counted_and_no_secret", &["python3", "curl"]) {
        return;
    }
    let path = mark("metrics");
    let python = server::python(&[(path.trim_start_matches('/'), "{}")]).unwrap();
    // The port names the service; the path is shown as a template.
    let service = format!(":{}", python.address().port());
    let mut collector = COLLECTOR.speak(&[&pypi(), &service]).unwrap();
    let (asked, told) = (free_port(Ipv4Addr::LOCALHOST.into()).unwrap(), collector.listen().unwrap());
    let prometheus = format!("prometheus:127.0.0.1:{asked}");
    let watch =
        Watch::start(&["--metrics", &prometheus, "--metrics", &format!("otlp:http://127.0.0.1:{told}")])
            .unwrap();
    for _ in 0..7 {
        let url = format!("{}{path}?token=hunter2", python.url());
        curl(&["-H", "Authorization: Bearer hunter2", &url]).unwrap();
    }
    let scrape = || -> Option<Value> {
        let said = SCRAPE.run(&[&pypi(), &format!("http://127.0.0.1:{asked}/metrics"), &service]).ok()?;
        serde_json::from_str(&said).ok().filter(|said: &Value| said["calls"] == 7.0)
    };
    let said = eventually("seven calls", PATIENCE, scrape).unwrap();
    assert_eq!(said["families"]["apisec_calls"], "counter");
    assert_eq!(said["families"]["apisec_call_duration_seconds"], "gauge");
    assert_eq!(said["families"]["apisec_capture_lost"], "counter");
    assert_eq!(said["type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!said["text"].as_str().unwrap().contains("hunter2"));

    // At its end it tells the last ones.
    let run = watch.end(Signal::INT).unwrap();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let told = eventually("the last request", PATIENCE, || {
        let said: Value = serde_json::from_str(&collector.listen().ok()?).ok()?;
        (said["sums"]["apisec_calls"] == 7.0).then_some(said)
    });
    let told = told.unwrap();
    assert_eq!((&told["path"], &told["secret"]), (&"/v1/metrics".into(), &false.into()));
}
