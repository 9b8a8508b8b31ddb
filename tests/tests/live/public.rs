//! A public API with its own specification, run live under its own tests: httpbin of PyPI, which documents itself in Swagger
//! 2.0 and answers whatever it is asked for (open redirects, reflected markup, credentials in paths). Its tests are those of
//! its source distribution, whose client is given a way to the real server.

use std::collections::BTreeMap;

use apisec_engine::snapshot::{Drift, EndpointView};
use apisec_tests::script::{PYTHON, Script, pypi, source};
use apisec_tests::watch::Watch;

use super::can_run;
use crate::roundtrip::documented_whole;

/// The server; prints what it answered.
const SERVER: Script = Script::python(
    "httpbin.py",
    r#"
import logging, sys
from urllib.parse import quote
address, port, packages = sys.argv[1:]
# Not this file, but the package of its name.
sys.path[0] = packages
from werkzeug.serving import WSGIRequestHandler
from httpbin import app

inner = app.wsgi_app
def logged(environ, start):
    def answer(status, headers, *rest):
        print(f"answered {environ['REQUEST_METHOD']} {quote(environ['PATH_INFO'])} {status[:3]}\n", end="", flush=True)
        return start(status, headers, *rest)
    return inner(environ, answer)

app.wsgi_app = logged
logging.disable(logging.CRITICAL)
WSGIRequestHandler.protocol_version = "HTTP/1.1"
app.run(address, int(port), threaded=True)
"#,
);

/// Its own tests; what they ask their application for, they ask that server for. Prints how many requests that were, and how
/// many tests ran and which failed.
const TESTS: Script = Script::python(
    "tests.py",
    r#"
import http.client, sys, unittest
host, port, packages, tests = sys.argv[1:]
sys.path[:1] = [packages, tests]
import httpbin, test_httpbin

class Forward:
    asked = 0
    def __call__(self, environ, start):
        path = environ.get("RAW_URI") or environ["REQUEST_URI"]
        fields = {name[5:].replace("_", "-").title(): value for name, value in environ.items() if name.startswith("HTTP_")}
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name): fields[name.replace("_", "-").title()] = environ[name]
        body = environ["wsgi.input"].read()
        if fields.get("Transfer-Encoding") == "chunked": body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        connection.putrequest(environ["REQUEST_METHOD"], path, skip_host="Host" in fields, skip_accept_encoding=True)
        for name, value in fields.items(): connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        # What cannot be sent was not asked.
        Forward.asked += 1
        hops = ("connection", "transfer-encoding", "server", "date")
        start(f"{answer.status} {answer.reason}", [field for field in answer.getheaders() if field[0].lower() not in hops])
        text = answer.read()
        connection.close()
        return [text]

httpbin.app.wsgi_app = Forward()
result = unittest.TextTestRunner(stream=open("/dev/null", "w")).run(unittest.defaultTestLoader.loadTestsFromModule(test_httpbin))
print(Forward.asked, result.testsRun, *sorted(test.id().split(".")[-1] for test, _ in result.failures + result.errors))
"#,
);

#[test]
fn httpbin_is_held_against_its_own_specification_under_its_own_tests() {
    // By hand, until it is known how long it takes beside other tests.
    if std::env::var_os("APISEC_PUBLIC").is_none()
        || !can_run("public::httpbin_is_held_against_its_own_specification_under_its_own_tests", &[PYTHON])
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("httpbin.apisec");
    let server = SERVER.serve(&[&pypi()]).unwrap();
    let address = server.address();
    let binding = format!("{address}=http://{address}/spec.json");
    let record = session.to_str().unwrap();
    let watch = Watch::start(&["--output", "json", "--spec", &binding, "--record", record]).unwrap();
    let tests = source("httpbin").join("tests").display().to_string();
    let told = TESTS.run(&["127.0.0.1", &address.port().to_string(), &pypi(), &tests]).unwrap();
    let mut told = told.split_whitespace();
    let mut number = || told.next().unwrap().parse::<usize>().unwrap();
    let (asked, ran) = (number(), number());
    let failed: Vec<&str> = told.collect();
    // Some cannot be run over a connection: they change the environment of the application.
    assert!(asked > 400 && ran > 60 && failed.len() <= 4, "{asked} requests of {ran} tests: {failed:?}");
    let mut log = server.printed("answered", asked).unwrap();
    // Our own question, which is asked again every minute, and is no call.
    log.retain(|line| !line.contains(" /spec.json "));
    assert_eq!(log.len(), asked);
    let snapshot = watch.end_with_snapshot().unwrap();
    let [spec] = snapshot.specifications.as_slice() else { panic!("{:#?}", snapshot.specifications) };
    assert!(spec.operations > 70 && spec.problems.is_empty(), "{spec:#?}");
    let [bound] = spec.services.as_slice() else { panic!("{:#?}", spec.services) };
    let own: Vec<&EndpointView> =
        snapshot.endpoints.iter().filter(|own| own.service == bound.service).collect();
    let of = |state: Drift| {
        let all = own.iter().filter(move |own| own.drift == state && own.calls > 0);
        all.map(|own| format!("{} {}", own.method, own.path)).collect::<Vec<_>>()
    };
    let differs = |path: &str, what: &str| {
        let of_path = own.iter().filter(|own| own.path == path);
        of_path.flat_map(|own| &own.documentation.differences).any(|told| told == what)
    };
    assert_eq!(documented_whole(&session, &address.port().to_string()).services, 1);
    // On a machine that is too busy something may be lost, which is said, and no count holds then.
    if snapshot.capture.lost > 0 {
        return;
    }
    assert_eq!(tally_of_rows(&own), tally_of(&log));
    // Documented are `/anything` and one segment below it.
    assert_eq!(of(Drift::Shadow), ["GET /", "GET /anything/foo/bar"]);
    assert_eq!(of(Drift::Active).len() + 2, own.iter().filter(|own| own.calls > 0).count());
    for (path, what) in [
        ("/bytes/{n}", "query seed"),
        ("/range/{numbytes}", "query chunk_size"),
        ("/status/{codes}", "status 418"),
        ("/drip", "status 400"),
    ] {
        assert!(differs(path, what), "{path} {what}");
    }
    assert!(!differs("/bearer", "status 401") && !differs("/get", "query seed"));
}

/// Calls by method and status, as the server logged them.
fn tally_of(log: &[String]) -> BTreeMap<(String, String), u64> {
    let mut tally = BTreeMap::new();
    for line in log {
        let words: Vec<&str> = line.split(' ').collect();
        *tally.entry((words[0].to_owned(), words[2].to_owned())).or_default() += 1;
    }
    tally
}

/// The same, as they were counted.
fn tally_of_rows(rows: &[&EndpointView]) -> BTreeMap<(String, String), u64> {
    let mut tally = BTreeMap::new();
    for own in rows {
        for (status, calls) in &own.statuses {
            *tally.entry((own.method.clone(), status.clone())).or_default() += calls;
        }
    }
    tally
}
