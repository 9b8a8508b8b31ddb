//! The shop as its users run it: real processes, real sockets, and access logs that add up.

#![expect(clippy::indexing_slicing, reason = "a missing field or line is a failed test, as it should be")]

mod openapi;
mod running;
mod wire;

use anyhow::{Context as _, Result, ensure};
use running::{DEADLINE, Running, lines};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;
use wire::{Connection, Reply};

/// The roles that the shop starts.
const ROLES: [&str; 10] = [
    "assistant",
    "cart",
    "catalog",
    "gateway",
    "notifications",
    "orders",
    "outside",
    "payments",
    "storefront",
    "users",
];
/// Those that the shop has no document for: what others answer, and what is not REST.
const WITHOUT_DOCUMENT: [&str; 3] = ["assistant", "outside", "storefront"];

/// A customer (see `src/seed.rs`).
const CUSTOMER: &str = "edsger.1003@shop.example";
/// The shop's passwords are functions of the account.
const PASSWORD: &str = "pw-c18b75";

#[test]
fn every_server_is_a_process_with_its_role_as_its_name() -> Result<()> {
    let shop = Running::up(&["--rate=0"])?;
    assert_eq!(shop.roles()?, ROLES);
    for role in ROLES {
        let name = fs::read_to_string(format!("/proc/{}/comm", shop.pid_of(role)?))?;
        assert_eq!(name.trim(), role);
        let health = Connection::open(&shop.address(role)?)?.get("/health")?;
        assert_eq!((health.status, health.json()?), (200, json!({"status": "ok", "service": role})));
    }
    assert!(shop.terminate()?.success());
    Ok(())
}

#[test]
fn every_request_is_in_the_access_log_as_the_client_saw_it() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let shop = Running::up(&["--rate=0", &format!("--access-log-dir={}", logs.path().display())])?;
    let mut client = Connection::open(&shop.address("gateway")?)?;
    let seen = checkout(&mut client)?;
    let local = client.local()?;
    drop(client);
    assert!(shop.terminate()?.success());

    let gateway = lines(&logs.path().join("gateway.jsonl"))?;
    let logged = gateway.iter().map(what_was_logged).collect::<Vec<_>>();
    assert_eq!(logged, seen);
    assert!(
        gateway.iter().all(|line| line["peer"] == json!(local) && line["complete"] == true),
        "{gateway:?}"
    );
    assert!(gateway.windows(2).all(|pair| pair[0]["ts"].as_u64() < pair[1]["ts"].as_u64()));
    Ok(())
}

#[test]
fn an_order_makes_the_servers_call_each_other() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let shop = Running::up(&["--rate=0", &format!("--access-log-dir={}", logs.path().display())])?;
    checkout(&mut Connection::open(&shop.address("gateway")?)?)?;
    assert!(shop.terminate()?.success());

    let calls = |role: &str| -> Result<BTreeSet<String>> {
        let logged = lines(&logs.path().join(format!("{role}.jsonl")))?;
        Ok(logged
            .iter()
            .map(|line| format!("{} {}", text(line, "method"), shape(text(line, "path"))))
            .collect())
    };
    assert!(calls("catalog")?.contains("GET /api/products/GM-10001"), "the cart asks for the price");
    assert!(calls("users")?.contains("GET /api/users/1003"), "orders asks for the e-mail address");
    assert!(calls("cart")?.is_superset(&["GET /api/cart/#", "DELETE /api/cart/#"].map(String::from).into()));
    assert!(calls("payments")?.contains("POST /v2/charges"));
    assert!(calls("notifications")?.contains("POST /api/notifications"));
    Ok(())
}

/// Logs in, buys, looks, makes every kind of mistake. Returns what the client sent and saw.
fn checkout(client: &mut Connection) -> Result<Vec<Logged>> {
    let mut seen = Seen { client, replies: Vec::new() };
    seen.ask("GET", "/api/orders", None, 401)?;
    let credentials = json!({"email": CUSTOMER, "password": PASSWORD});
    let token = seen.ask("POST", "/api/login", Some(&credentials), 200)?.json()?;
    seen.client.token = token["token"].as_str().map(str::to_owned);
    seen.ask("POST", "/api/login", Some(&json!({"email": "nobody", "password": ""})), 422)?;
    seen.ask("POST", "/api/login", Some(&json!({"email": CUSTOMER, "password": "?"})), 401)?;

    seen.ask("GET", "/api/products?category=games&page=1", None, 200)?;
    seen.ask("GET", "/api/products/NO-1", None, 404)?;
    let picture = seen.ask("GET", "/api/products/GM-10001/picture", None, 200)?;
    ensure!(picture.body.len() == 256 * 1024, "{} bytes", picture.body.len());
    let head = seen.ask("HEAD", "/api/products/GM-10001/picture", None, 200)?;
    ensure!(head.body.is_empty() && head.field("content-length") == Some("262144"), "{head:?}");

    let cart = seen.ask("POST", "/api/cart", Some(&json!({})), 201)?.json()?;
    let cart = cart["cart"].as_str().context("a cart")?.to_owned();
    let item = json!({"sku": "GM-10001", "quantity": 2});
    for (n, status) in [(1, 200), (2, 200)] {
        seen.ask("PUT", &format!("/api/cart/{cart}/items/{n}"), Some(&item), status)?;
    }
    seen.ask("PUT", &format!("/api/cart/{cart}/items/3"), Some(&json!({"sku": "NO-1", "quantity": 1})), 422)?;
    seen.ask("DELETE", &format!("/api/cart/{cart}/items/2"), None, 204)?;
    let order = seen.ask("POST", "/api/orders", Some(&json!({"cart": cart})), 201)?.json()?;
    seen.ask("POST", "/api/orders", Some(&json!({"cart": cart})), 422)?;
    seen.ask("GET", &format!("/api/orders/{}", order["order"]), None, 200)?;

    let export = seen.ask("GET", "/api/orders/export", None, 200)?;
    ensure!(export.field("transfer-encoding") == Some("chunked") && export.chunks > 3, "{export:?}");
    seen.ask("DELETE", &format!("/api/orders/{}", order["order"]), None, 204)?;
    seen.ask("GET", "/api/admin/users", None, 403)?;
    seen.ask("GET", "/api/admin/reports/yesterday", None, 500)?;
    seen.ask("OPTIONS", "/api/orders", None, 204)?;
    seen.ask("GET", "/nowhere", None, 404)?;
    Ok(seen.replies)
}

/// Method, path, status, request body bytes, response body bytes.
type Logged = (String, String, u64, u64, u64);

struct Seen<'a> {
    client: &'a mut Connection,
    replies: Vec<Logged>,
}

impl Seen<'_> {
    fn ask(&mut self, method: &str, target: &str, body: Option<&Value>, status: u16) -> Result<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let reply = self.client.ask(method, target, &body)?;
        ensure!(reply.status == status, "{method} {target}: {} instead of {status}", reply.status);
        let path = target.split('?').next().unwrap_or(target).to_owned();
        let sizes = (body.len() as u64, reply.body.len() as u64);
        self.replies.push((method.to_owned(), path, status.into(), sizes.0, sizes.1));
        Ok(reply)
    }
}

fn what_was_logged(line: &Value) -> Logged {
    let number = |name: &str| line[name].as_u64().unwrap_or(u64::MAX);
    let (method, path) = (text(line, "method").to_owned(), text(line, "path").to_owned());
    (method, path, number("status"), number("request_bytes"), number("response_bytes"))
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

/// A path with its object ids (24 hexadecimal digits) as `#`.
fn shape(path: &str) -> String {
    path.split('/')
        .map(|segment| if segment.len() == 24 { "#" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn the_load_is_exactly_as_long_as_asked_and_all_of_it_is_logged() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let folder = format!("--access-log-dir={}", logs.path().display());
    let shop = Running::up(&["--rate=2000", "--requests=400", &folder])?;
    let (status, said) = shop.finish()?;
    assert!(status.success(), "{status}");
    let load = said.iter().find_map(|line| line.get("load")).context("the load says what it did")?;
    assert_eq!((load["sent"].as_u64(), load["failed"].as_u64()), (Some(400), Some(0)));

    let gateway = lines(&logs.path().join("gateway.jsonl"))?;
    assert_eq!(gateway.len(), 400);
    let mut statuses = BTreeMap::<String, u64>::new();
    for line in &gateway {
        *statuses.entry(line["status"].to_string()).or_default() += 1;
    }
    assert_eq!(load["statuses"], json!(statuses));
    for role in ROLES {
        assert!(!lines(&logs.path().join(format!("{role}.jsonl")))?.is_empty(), "{role} was never called");
    }
    Ok(())
}

/// Operations that the documents name and nobody calls.
const NEVER_CALLED: [&str; 3] = [
    "gateway GET /api/orders/{order}/invoice",
    "notifications DELETE /api/notifications/{email}",
    "orders GET /api/orders/{order}/invoice",
];
/// Operations that the documents call deprecated; all of them are in use.
const DEPRECATED: [&str; 3] =
    ["catalog GET /api/v1/search", "gateway GET /api/v1/search", "payments POST /v1/charges"];
/// Servers that customers use in a way which their documents do not name.
const UNDOCUMENTED: [&str; 6] = ["cart", "catalog", "gateway", "orders", "payments", "users"];

#[test]
fn the_documents_are_as_right_and_as_wrong_as_they_say() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let folder = format!("--access-log-dir={}", logs.path().display());
    let shop = Running::up(&["--rate=4000", "--requests=2000", "--shoppers=48", &folder])?;
    assert!(shop.finish()?.0.success());

    let (mut never_called, mut deprecated, mut undocumented) = (Vec::new(), Vec::new(), Vec::new());
    for role in ROLES.into_iter().filter(|role| !WITHOUT_DOCUMENT.contains(role)) {
        let operations = openapi::operations(role)?;
        let mut called = BTreeSet::new();
        let mut others = 0;
        for line in lines(&logs.path().join(format!("{role}.jsonl")))? {
            let covering = operations.iter().filter(|o| o.covers(text(&line, "method"), text(&line, "path")));
            match covering.min_by_key(|operation| operation.parameters()) {
                Some(operation) => drop(called.insert(operation)),
                None => others += u64::from(line["status"].as_u64() < Some(300)),
            }
        }
        let named = |operation: &openapi::Operation| format!("{role} {operation}");
        never_called.extend(operations.iter().filter(|operation| !called.contains(operation)).map(named));
        deprecated.extend(called.iter().copied().filter(|operation| operation.deprecated).map(named));
        undocumented.extend((others > 0).then_some(role));
    }
    assert_eq!(never_called, NEVER_CALLED);
    assert_eq!(deprecated, DEPRECATED);
    assert_eq!(undocumented, UNDOCUMENTED);
    Ok(())
}

#[test]
fn nothing_outlives_a_shop_that_is_killed() -> Result<()> {
    let shop = Running::up(&["--rate=20"])?;
    // `kill` returns once every process that shares the shop's standard error has ended.
    let status = shop.kill()?;
    assert_eq!(status.code(), None);
    Ok(())
}

#[test]
fn the_shop_closes_when_a_server_ends() -> Result<()> {
    let shop = Running::up(&["--rate=20"])?;
    shop.kill_server("payments")?;
    let (status, _) = shop.finish()?;
    assert_eq!(status.code(), Some(1));
    Ok(())
}

#[test]
fn an_attack_and_its_twin_send_what_they_say() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let shop = Running::up(&["--rate=0", &format!("--access-log-dir={}", logs.path().display())])?;
    let gateway = shop.address("gateway")?;
    let attack = play("enumeration", &gateway, &[])?;
    let twin = play("enumeration", &gateway, &["--twin"])?;
    assert_eq!(attack["result"], json!({"sent": 40, "failed": 0, "statuses": {"200": 40}}));
    assert_eq!(twin["result"], attack["result"]);
    assert_eq!((&attack["side"], &twin["side"]), (&json!("attack"), &json!("twin")));
    assert_eq!(play("brute-force", &gateway, &["--twin"])?["result"]["sent"], 40);
    assert!(shop.terminate()?.success());

    let logged = lines(&logs.path().join("orders.jsonl"))?;
    let orders = |side: &Value| {
        let during = side["started"].as_u64()..side["ended"].as_u64();
        let paths =
            logged.iter().filter(|line| during.contains(&line["ts"].as_u64())).map(|line| text(line, "path"));
        paths.filter_map(|path| path.strip_prefix("/api/orders/")?.parse::<u64>().ok()).collect::<Vec<_>>()
    };
    assert_eq!(orders(&attack), (50_000..50_039).collect::<Vec<_>>());
    assert_eq!(orders(&twin).len(), 38);
    Ok(())
}

fn play(scenario: &str, gateway: &str, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apisec-shop"));
    command
        .args(["scenario", scenario, "--gateway", gateway, "--rate=1000", "--requests=40"])
        .args(arguments);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{scenario}: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn a_recording_is_the_same_each_time_and_needs_no_socket() -> Result<()> {
    let record = |arguments: &[&str]| -> Result<Vec<u8>> {
        let output = Command::new(env!("CARGO_BIN_EXE_apisec-shop"))
            .args(["record", "forged-request", "--before=5"])
            .args(arguments)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    };
    let attack = record(&[])?;
    assert!(attack == record(&[])?, "two recordings of {} bytes differ", attack.len());
    let holds = |tape: &[u8], words: &[u8]| tape.windows(words.len()).any(|window| window == words);
    assert!(holds(&attack, b"GET /latest/meta-data/"), "the server fetched what it was told to");
    assert!(!holds(&record(&["--twin"])?, b"GET /latest/meta-data/"));
    Ok(())
}

#[test]
fn every_scenario_can_be_recorded_both_ways() -> Result<()> {
    let list = Command::new(env!("CARGO_BIN_EXE_apisec-shop")).args(["scenario", "list"]).output()?;
    let list = String::from_utf8(list.stdout)?;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        for side in [&[][..], &["--twin"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_apisec-shop"));
            command.args(["record", name, "--before=2", "--rate=2", "--out=/dev/null"]).args(side);
            let output = command.output()?;
            let said = String::from_utf8(output.stderr)?;
            ensure!(output.status.success(), "{name}: {said}");
            let truth: Value = serde_json::from_str(said.lines().last().context("it says what it did")?)?;
            assert_eq!(
                (&truth["scenario"], &truth["result"]["failed"]),
                (&json!(name), &json!(0)),
                "{truth}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_client_that_goes_away_is_logged_without_a_status() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let shop = Running::up(&["--rate=0", &format!("--access-log-dir={}", logs.path().display())])?;
    let mut client = Connection::open(&shop.address("catalog")?)?;
    let credentials = json!({"email": CUSTOMER, "password": PASSWORD}).to_string();
    let token = Connection::open(&shop.address("users")?)?.ask("POST", "/api/login", &credentials)?.json()?;
    client.token = token["token"].as_str().map(str::to_owned);
    client.send("GET", "/api/recommendations", "")?;
    drop(client);
    // A server that is stopped before it has read the request has nothing to log: ask until it has.
    wait_for_metric(&shop.address("catalog")?, r#"http_requests_total{service="catalog",class="0xx"} 1"#)?;
    assert!(shop.terminate()?.success());

    let logged = lines(&logs.path().join("catalog.jsonl"))?;
    let abandoned =
        logged.iter().filter(|line| text(line, "path") == "/api/recommendations").collect::<Vec<_>>();
    assert_eq!(abandoned.len(), 1);
    assert_eq!((&abandoned[0]["status"], &abandoned[0]["complete"]), (&json!(0), &json!(false)));
    Ok(())
}

/// Asks a server for its metrics until `line` is among them.
fn wait_for_metric(address: &str, line: &str) -> Result<()> {
    let mut client = Connection::open(address)?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        let metrics = String::from_utf8(client.get("/metrics")?.body)?;
        if metrics.lines().any(|metric| metric == line) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{line} never came:\n{metrics}");
    }
}

#[test]
fn the_gateway_continues_the_trace_and_keeps_the_connection_to_itself() -> Result<()> {
    let peer = TcpListener::bind("127.0.0.1:0")?;
    let address = peer.local_addr()?;
    let peers = ROLES.iter().filter(|role| **role != "gateway").map(|role| format!("{role}={address}"));
    let gateway = Running::serve("gateway", &[&format!("--peers={}", peers.collect::<Vec<_>>().join(","))])?;
    let mut client = TcpStream::connect(gateway.address("gateway")?)?;
    client.write_all(
        b"GET /api/users/me HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: mine\r\nConnection: keep-alive\r\n\
          Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
    )?;
    let (mut upstream, _) = peer.accept()?;
    let mut head = vec![0; 4096];
    let length = upstream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
    assert!(head.starts_with("get /api/users/me http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {address}\r\n")), "{head}");
    assert!(head.contains("\r\nx-request-id: mine\r\n"), "{head}");
    assert!(head.contains("\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"), "{head}");
    assert!(!head.contains("b7ad6b7169203331"), "the gateway is a span of its own: {head}");
    assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(!head.contains("\r\nconnection:"), "{head}");
    drop((upstream, client));
    gateway.terminate()?;
    Ok(())
}
