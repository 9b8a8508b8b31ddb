//! Dialects and messages on servers that we did not write, counted against what these say themselves.

use std::process::Command;

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::script::{PYTHON, Script};
use apisec_tests::skip::skip;
use apisec_tests::watch::{Watch, mark};

use super::{can_run, tally};

/// A chat on the library `websockets`: answers every message, pushes a burst on demand, logs what it did.
pub(super) const CHAT: Script = Script::python(
    "chat.py",
    r#"
import asyncio, json, ssl, sys, websockets
def log(*words): print(*words, flush=True)
async def serve(socket, path=None):
    async for text in socket:
        message = json.loads(text)
        log("received", message["type"], len(text))
        if message["type"] == "burst":
            for n in range(message["count"]):
                await socket.send(json.dumps({"type": "tick", "n": n, "pad": "x" * message["pad"]}))
                log("sent", "tick")
        else:
            await socket.send(json.dumps({"type": "echo", "of": message}))
            log("sent", "echo")
async def main():
    context = None
    if len(sys.argv) > 4:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
    async with websockets.serve(serve, sys.argv[1], int(sys.argv[2]), ssl=context, compression=None if sys.argv[3] == "plain" else "deflate"):
        await asyncio.Future()
asyncio.run(main())
"#,
);

/// Says so many things of each kind, waits for every answer, and leaves with a code.
const CHATTER: Script = Script::python(
    "chatter.py",
    r#"
import asyncio, json, ssl, sys, websockets
url, joins, bursts, count, pad = sys.argv[1], *map(int, sys.argv[2:])
async def main():
    context = ssl._create_unverified_context() if url.startswith("wss") else None
    async with websockets.connect(url, close_timeout=5, ssl=context) as socket:
        for n in range(joins):
            await socket.send(json.dumps({"type": "join", "room": n, "text": "hello " * n}))
            assert json.loads(await socket.recv())["type"] == "echo"
        for n in range(bursts):
            await socket.send(json.dumps({"type": "burst", "count": count, "pad": pad}))
            for _ in range(count): assert json.loads(await socket.recv())["type"] == "tick"
        await socket.close(code=1000)
asyncio.run(main())
"#,
);

/// Says a message in so many fragments, and leaves with a code of its own; each connection does one.
const FRAGMENTER: Script = Script::python(
    "fragmenter.py",
    r#"
import asyncio, json, sys, websockets
url = sys.argv[1]
async def one(pieces, code):
    async with websockets.connect(url, close_timeout=5) as socket:
        text = json.dumps({"type": "pieces", "text": "hello " * 40})
        size = -(-len(text) // pieces)
        await socket.send(text[at:at + size] for at in range(0, len(text), size))
        assert json.loads(await socket.recv())["type"] == "echo"
        await socket.ping()
        await socket.close(code=code)
async def main():
    for pieces, code in ((1, 1000), (2, 1001), (7, 4001), (40, 3999), (3, 1011)): await one(pieces, code)
asyncio.run(main())
"#,
);

/// Keeps one connection, and says a message of each kind that it is told, to be answered.
const TALKER: Script = Script::python(
    "talker.py",
    r#"
import asyncio, json, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        for line in sys.stdin:
            await socket.send(json.dumps({"type": line.strip(), "text": "hello"}))
            print(json.loads(await socket.recv())["type"], flush=True)
asyncio.run(main())
"#,
);

/// GraphQL by the library `graphql-core` behind Python's own server; logs each execution.
pub(super) const GRAPHQL: Script = Script::python(
    "graph.py",
    r#"
import http.server, json, sys
from graphql import build_ast_schema, format_error, graphql, parse
schema = build_ast_schema(parse("""
schema { query: Query mutation: Mutation }
type User { id: ID! name: String friend: User }
type Query { users: [User] user(id: ID!): User broken: String }
type Mutation { addUser(name: String!): User }
"""))
ada = {"id": 1, "name": "Ada"}
class Root:
    users, user, addUser = [ada], ada, ada
    @property
    def broken(self): raise ValueError("broken on purpose")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        result = graphql(schema, asked["query"], root=Root(), variables=asked.get("variables"), operation_name=asked.get("operationName"))
        answer = {}
        if result.errors: answer["errors"] = [format_error(error) for error in result.errors]
        if result.data is not None or not result.errors: answer["data"] = result.data
        body = json.dumps(answer).encode()
        print("errors", len(result.errors or []), flush=True)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"#,
);

/// Sends so many events, fifty a second, as fast as it can or in one write with the head, some named, with comments between
/// them; with a certificate and a key inside TLS.
const EVENTS: Script = Script::python(
    "ticker.py",
    r#"
import http.server, io, ssl, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        *_, pace, count = self.path.split("/")
        joined, self.wfile = self.wfile, io.BytesIO() if pace == "joined" else self.wfile
        self.end_headers()
        def write(text):
            data = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        for n in range(int(count)):
            name = "event: price\n" if n % 2 else ""
            write(": keep alive\n\n%sdata: {\"type\": \"quote\", \"n\": %d, \"pad\": \"%s\"}\n\n" % (name, n, "x" * 200))
            print("sent", flush=True)
            if pace == "slow": time.sleep(0.02)
        self.wfile.write(b"0\r\n\r\n")
        if pace == "joined": joined.write(self.wfile.getvalue())
        self.wfile = joined
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#,
);

/// Whether the system's Python has a library; the test is recorded as skipped otherwise.
pub(super) fn has_library(name: &str, library: &str) -> bool {
    let found = Command::new(PYTHON).args(["-c", &format!("import {library}")]).output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        skip(&format!("live::{name}"), &format!("{PYTHON} has no {library}"));
    }
    has
}

/// How many calls have this method and operation.
fn count(calls: &[NdjsonCall], method: &str, operation: &str) -> usize {
    calls.iter().filter(|call| call.method == method && call.operation == operation).count()
}

fn chat(name: &str, compression: &str) {
    if !can_run(name, &[PYTHON]) || !has_library(name, "websockets") {
        return;
    }
    let mark = mark(compression);
    let server = CHAT.serve(&[compression]).unwrap();
    let watch = Watch::calls().unwrap();
    let url = format!("ws://{}{mark}/room", server.address());
    CHATTER.run(&[&url, "20", "2", "150", "120"]).unwrap();
    let (received, sent) = (server.printed("received", 22).unwrap(), server.printed("sent", 320).unwrap());
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!((received.len(), sent.len()), (22, 320));
    let upgrades: Vec<_> = calls.iter().filter(|call| call.status == Some(101)).collect();
    assert_eq!(upgrades.len(), 1);
    let seen = [("SEND", "join"), ("SEND", "burst"), ("RECEIVE", "echo"), ("RECEIVE", "tick")]
        .map(|(method, kind)| count(&calls, method, kind));
    assert_eq!(seen, [20, 2, 20, 300]);
    let messages: Vec<_> = calls.iter().filter(|call| call.protocol == "websocket").collect();
    assert!(messages.iter().all(|call| call.notes == ["one-way"] && call.status.is_none()), "{messages:?}");
    assert!(messages.iter().all(|call| call.dst == upgrades[0].dst && call.src == upgrades[0].src));
    let closes: Vec<_> = messages.iter().filter(|call| call.operation == "close").collect();
    assert_eq!(closes.len(), 2);
    assert!(closes.iter().all(|call| call.app_status == Some(1000) && !call.failed));
    assert_eq!(calls.len(), 1 + 342 + 2);
    if compression == "plain" {
        let wire: u64 = received
            .iter()
            .map(|line| {
                let len: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
                len + if len < 126 { 6 } else { 8 }
            })
            .sum();
        let sends = messages.iter().filter(|call| call.method == "SEND" && call.operation != "close");
        assert_eq!(sends.map(|call| call.request_bytes).sum::<u64>(), wire);
    }
}

#[test]
fn every_message_of_a_websocket_is_a_call() {
    chat("dialects::every_message_of_a_websocket_is_a_call", "plain");
}

#[test]
fn compressed_messages_have_their_kinds() {
    chat("dialects::compressed_messages_have_their_kinds", "deflate");
}

/// A message is one however many fragments it came in, and each side's code is read.
#[test]
fn fragments_are_joined_and_codes_are_read() {
    let name = "dialects::fragments_are_joined_and_codes_are_read";
    if !can_run(name, &[PYTHON]) || !has_library(name, "websockets") {
        return;
    }
    for compression in ["plain", "deflate"] {
        let mark = mark("pieces");
        let server = CHAT.serve(&[compression]).unwrap();
        let watch = Watch::calls().unwrap();
        FRAGMENTER.run(&[&format!("ws://{}{mark}/room", server.address())]).unwrap();
        assert_eq!(server.printed("received pieces", 5).unwrap().len(), 5);
        let calls = watch.end_with_calls(&mark).unwrap();
        assert_eq!((count(&calls, "SEND", "pieces"), count(&calls, "RECEIVE", "echo")), (5, 5), "{calls:#?}");
        let closes = calls.iter().filter(|call| call.operation == "close" && call.method == "SEND");
        let codes =
            tally(closes.map(|call| format!("{} {}", call.app_status.unwrap_or_default(), call.failed)));
        // Going away is no failure; what an application or a server says of itself is.
        let said = ["1000 false", "1001 false", "1011 true", "3999 true", "4001 true"];
        assert_eq!(codes, tally(said.map(str::to_owned)));
    }
}

#[test]
fn graphql_operations_are_counted_and_errors_are_failures() {
    let name = "dialects::graphql_operations_are_counted_and_errors_are_failures";
    if !can_run(name, &[PYTHON, "curl"]) || !has_library(name, "graphql") {
        return;
    }
    let mark = mark("graphql");
    let server = GRAPHQL.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    let url = format!("http://{}{mark}", server.address());
    let queries = [
        (8, r#"{"query":"query All { users { id friend: name } user(id: 7) { name } }"}"#),
        (5, r#"{"query":"mutation($n: String!) { addUser(name: $n) { id } }","variables":{"n":"Ada"}}"#),
        (4, r#"{"query":"{ broken }"}"#),
        (3, r#"{"query":"{ nonsense }"}"#),
        (2, r#"{"query":"query IntrospectionQuery { __schema { types { name } } }"}"#),
    ];
    for (times, query) in queries {
        for _ in 0..times {
            curl(&["-H", "content-type: application/json", "-d", query, &url]).unwrap();
        }
    }
    let failures = server.printed("errors 1", 7).unwrap().len();
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(calls.len(), 22);
    assert!(calls.iter().all(|call| call.protocol == "graphql" && call.status == Some(200)));
    let seen = [
        ("QUERY", "user,users"),
        ("MUTATION", "addUser"),
        ("QUERY", "broken"),
        ("QUERY", "{invalid}"),
        ("QUERY", "__schema"),
    ]
    .map(|(method, operation)| count(&calls, method, operation));
    assert_eq!(seen, [8, 5, 4, 3, 2]);
    let failed: Vec<_> = calls.iter().filter(|call| call.failed).collect();
    assert_eq!((failed.len(), failures), (7, 7));
    assert!(failed.iter().all(|call| call.app_status == Some(1)));
    let introspecting = calls.iter().filter(|call| call.notes.iter().any(|note| note == "introspection"));
    assert_eq!(introspecting.count(), 2);
}

#[test]
fn every_event_of_a_stream_is_a_call() {
    let name = "dialects::every_event_of_a_stream_is_a_call";
    if !can_run(name, &[PYTHON, "curl"]) {
        return;
    }
    let mark = mark("events");
    let server = EVENTS.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    let url = |events: usize| format!("http://{}{mark}/slow/{events}", server.address());
    curl(&["-N", &url(150)]).unwrap();
    curl(&["-N", &url(3)]).unwrap();
    let sent = server.printed("sent", 153).unwrap().len();
    let calls = watch.end_with_calls(&mark).unwrap();
    let streams: Vec<_> = calls.iter().filter(|call| call.status == Some(200)).collect();
    assert_eq!((streams.len(), sent), (2, 153));
    assert!(streams.iter().all(|call| call.notes.iter().any(|note| note == "streaming")));
    let (named, quotes) = (count(&calls, "RECEIVE", "price"), count(&calls, "RECEIVE", "quote"));
    assert_eq!((named, quotes, calls.len()), (76, 77, 155));
}

#[test]
fn a_burst_of_events_is_counted() {
    let name = "dialects::a_burst_of_events_is_counted";
    if !can_run(name, &[PYTHON, "curl"]) {
        return;
    }
    let mark = mark("burst");
    let server = EVENTS.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    curl(&["-N", &format!("http://{}{mark}/fast/2000", server.address())]).unwrap();
    assert_eq!(server.printed("sent", 2000).unwrap().len(), 2000);
    let calls = watch.end_with_calls(&mark).unwrap();
    let (named, quotes) = (count(&calls, "RECEIVE", "price"), count(&calls, "RECEIVE", "quote"));
    assert_eq!((named, quotes, calls.len()), (1000, 1000, 2001));
}

/// The first events of an answer come in one packet with its head.
#[test]
fn events_in_one_write_with_the_head_are_counted() {
    let name = "dialects::events_in_one_write_with_the_head_are_counted";
    if !can_run(name, &[PYTHON, "curl"]) {
        return;
    }
    let mark = mark("joined");
    let server = EVENTS.serve(&[]).unwrap();
    let watch = Watch::calls().unwrap();
    for events in [40, 100] {
        curl(&["-N", &format!("http://{}{mark}/joined/{events}", server.address())]).unwrap();
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    let (named, quotes) = (count(&calls, "RECEIVE", "price"), count(&calls, "RECEIVE", "quote"));
    assert_eq!((named, quotes, calls.len()), (70, 70, 142));
}

/// Messages inside TLS have no turns either.
#[test]
fn bursts_inside_tls_are_counted() {
    let name = "dialects::bursts_inside_tls_are_counted";
    if !can_run(name, &[PYTHON, "curl", "openssl"]) || !has_library(name, "websockets") {
        return;
    }
    let mark = mark("secret");
    let certificate = Certificate::new().unwrap();
    let files = [certificate.chain(), certificate.key()].map(|path| path.display().to_string());
    let events = EVENTS.serve(&files.each_ref().map(String::as_str)).unwrap();
    let chat = CHAT.serve(&["plain", &files[0], &files[1]]).unwrap();
    let watch = Watch::calls().unwrap();
    curl(&["-kN", &format!("https://{}{mark}/fast/1000", events.address())]).unwrap();
    curl(&["-kN", &format!("https://{}{mark}/joined/40", events.address())]).unwrap();
    CHATTER.run(&[&format!("wss://{}{mark}/room", chat.address()), "5", "2", "300", "120"]).unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    let seen = ["price", "quote", "echo", "tick"].map(|kind| count(&calls, "RECEIVE", kind));
    assert_eq!(seen, [520, 520, 5, 600]);
    assert!(calls.iter().all(|call| call.tls.is_some()));
}

/// Messages of a connection that was open before us: what they are, where they can be read, and never their path.
fn talk(name: &str, compression: &str, kinds: [&str; 3]) {
    if !can_run(name, &[PYTHON]) || !has_library(name, "websockets") {
        return;
    }
    let server = CHAT.serve(&[compression]).unwrap();
    let mut talker = TALKER.speak(&[&format!("ws://{}/room", server.address())]).unwrap();
    assert_eq!(talker.say("join").unwrap(), "echo");
    let watch = Watch::calls().unwrap();
    for kind in ["join", "leave", "join"].repeat(5) {
        talker.say(kind).unwrap();
    }
    let port = format!(":{}", server.address().port());
    let calls = watch.end_with_calls("/").unwrap();
    let calls: Vec<_> = calls.into_iter().filter(|call| call.dst.ends_with(&port)).collect();
    assert_eq!(server.printed("received", 16).unwrap().len(), 16);
    let seen = tally(calls.iter().map(|call| format!("{} {}", call.method, call.operation)));
    let [join, leave, echo] = kinds;
    let said = [("SEND", join, 10), ("SEND", leave, 5), ("RECEIVE", echo, 15)];
    let said = said.into_iter().flat_map(|(method, kind, n)| vec![format!("{method} {kind}"); n]);
    assert_eq!(seen, tally(said));
    assert!(calls.iter().all(|call| call.path == "/{opaque}" && call.protocol == "websocket"), "{calls:?}");
}

#[test]
fn messages_of_a_websocket_that_was_open_before_us() {
    talk("dialects::messages_of_a_websocket_that_was_open_before_us", "plain", ["join", "leave", "echo"]);
}

#[test]
fn compressed_messages_that_began_before_us_are_counted() {
    talk("dialects::compressed_messages_that_began_before_us_are_counted", "deflate", ["", "", ""]);
}
