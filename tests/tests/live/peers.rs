//! Servers from PyPI and the nghttp2 tools, asked in every way that HTTP/2 begins, and counted against their own logs.

mod bodies;
mod frames;
mod graphql;
mod rpc;

use std::collections::BTreeMap;
use std::process::Command;

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::script::{PYTHON, Script, pypi};
use apisec_tests::server::{Server, lines_with};
use apisec_tests::watch::{Watch, mark};

use super::{can_run, run, tally};

/// One application on hypercorn (with TLS, given a certificate) or uvicorn; prints what it answered.
const APPLICATION: Script = Script::python(
    "application.py",
    r#"
import asyncio, sys
address, port, packages, kind, *keys = sys.argv[1:]
sys.path.insert(0, packages)

async def app(scope, receive, send):
    if scope["type"] != "http": return
    while (await receive()).get("more_body"): pass
    status = 404 if scope["path"].endswith("/no") else 200
    head = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})
    version = "http2" if scope["http_version"] == "2" else "http1"
    print("answered", version, scope["method"], scope["path"], status, flush=True)

if kind == "uvicorn":
    import uvicorn
    uvicorn.run(app, host=address, port=int(port), log_level="error", ws="none")
else:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.bind, config.errorlog = [f"{address}:{port}"], None
    if keys: config.certfile, config.keyfile = keys
    asyncio.run(serve(app, config))
"#,
);

/// The reference implementation of MCP, with two tools, one of which always fails.
const TOOLS: Script = Script::python(
    "tools.py",
    r#"
import sys
address, port, packages, path = sys.argv[1:]
sys.path.insert(0, packages)
from mcp.server import MCPServer
import uvicorn
server = MCPServer("shop")

@server.tool()
def price(item: str) -> int:
    print("called price", flush=True)
    return len(item)

@server.tool()
def refund(order: int) -> str:
    print("called refund", flush=True)
    raise ValueError("no")

uvicorn.run(server.streamable_http_app(streamable_http_path=path), host=address, port=int(port), log_level="error", ws="none")
"#,
);

/// Its client.
const AGENT: Script = Script::python(
    "agent.py",
    r#"
import asyncio, sys
url, packages = sys.argv[1:]
sys.path.insert(0, packages)
from mcp import Client
async def main():
    async with Client(url) as client:
        await client.list_tools()
        for item in ("shoe", "hat", "coat"):
            await client.call_tool("price", {"item": item})
        for order in (7, 8):
            try: await client.call_tool("refund", {"order": order})
            except Exception: pass
asyncio.run(main())
"#,
);

/// What was seen of the server on this port.
fn seen(
    calls: &[NdjsonCall],
    server: &Server,
    told: impl Fn(&NdjsonCall) -> String,
) -> BTreeMap<String, usize> {
    let port = format!(":{}", server.address().port());
    tally(calls.iter().filter(|call| call.dst.ends_with(&port)).map(told))
}

fn whole(call: &NdjsonCall) -> String {
    format!("{} {} {} {}", call.protocol, call.method, call.path, call.status.unwrap_or_default())
}

/// Both ends of every kind: HTTP/1, HTTP/2 known before, upgraded by two clients, many streams, and inside TLS.
#[test]
fn hypercorn_and_uvicorn() {
    let name = "peers::hypercorn_and_uvicorn";
    if !can_run(name, &[PYTHON, "curl", "nghttp", "h2load", "openssl"]) {
        return;
    }
    let (mark, packages, certificate) = (mark("asgi"), pypi(), Certificate::new().unwrap());
    let (chain, key) = (certificate.chain().display().to_string(), certificate.key().display().to_string());
    let hypercorn = APPLICATION.serve(&[&packages, "hypercorn"]).unwrap();
    let secure = APPLICATION.serve(&[&packages, "hypercorn", &chain, &key]).unwrap();
    let uvicorn = APPLICATION.serve(&[&packages, "uvicorn"]).unwrap();
    let watch = Watch::calls().unwrap();
    for server in [&hypercorn, &uvicorn] {
        let url = format!("{}{mark}", server.url());
        curl(&[&format!("{url}/a"), &format!("{url}/no")]).unwrap();
        curl(&["-d", "hello", &format!("{url}/b")]).unwrap();
    }
    let url = format!("{}{mark}", hypercorn.url());
    curl(&["--http2-prior-knowledge", &format!("{url}/known")]).unwrap();
    curl(&["--http2", &format!("{url}/upgraded")]).unwrap();
    run("nghttp", &["-un", &format!("{url}/up1"), &format!("{url}/up2")]);
    run("nghttp", &["-n", &format!("{url}/direct1"), &format!("{url}/no")]);
    run("h2load", &["-n", "300", "-c", "3", "-m", "50", &format!("{url}/load")]);
    let url = format!("https://{}{mark}", secure.address());
    curl(&["-k", "--http2", &format!("{url}/a"), &format!("{url}/b"), &format!("{url}/no")]).unwrap();
    curl(&["-k", "--http1.1", &format!("{url}/one"), &format!("{url}/two")]).unwrap();
    let logs = [(&hypercorn, 309), (&secure, 5), (&uvicorn, 3)];
    let logs = logs.map(|(server, count)| (server, server.printed("answered ", count).unwrap()));
    let calls = watch.end_with_calls(&mark).unwrap();
    for (server, log) in logs {
        assert_eq!(seen(&calls, server, whole), tally(log));
    }
}

/// A proxy of theirs in front of a server, and their own server; each call at every hop.
#[test]
fn nghttpx_and_nghttpd() {
    let name = "peers::nghttpx_and_nghttpd";
    if !can_run(name, &[PYTHON, "curl", "nghttp", "nghttpd", "nghttpx", "h2load"]) {
        return;
    }
    let (mark, packages) = (mark("nghttp"), pypi());
    let uvicorn = APPLICATION.serve(&[&packages, "uvicorn"]).unwrap();
    let nghttpd = Server::start(|address, folder| {
        let mut command = Command::new("nghttpd");
        command.args(["--no-tls", "-v", "-a", "127.0.0.1", "-d"]).arg(folder).arg(address.port().to_string());
        Ok(command)
    })
    .unwrap();
    let nghttpx = Server::start(|address, folder| {
        let mut command = Command::new("nghttpx");
        command.args(["--conf=/dev/null", "--accesslog-format=answered $method $path $status"]);
        command.arg(format!("--accesslog-file={}", folder.join("log").display()));
        command.arg(format!("--frontend=127.0.0.1,{};no-tls", address.port()));
        command.arg(format!("--backend=127.0.0.1,{}", uvicorn.address().port()));
        Ok(command)
    })
    .unwrap();
    let watch = Watch::calls().unwrap();
    for server in [&nghttpx, &nghttpd] {
        let url = format!("{}{mark}", server.url());
        curl(&["--http2-prior-knowledge", &format!("{url}/known")]).unwrap();
        run("nghttp", &["-n", &format!("{url}/direct1"), &format!("{url}/no")]);
        run("h2load", &["-n", "300", "-c", "3", "-m", "50", &format!("{url}/load")]);
    }
    let url = format!("{}{mark}", nghttpx.url());
    curl(&[&format!("{url}/old")]).unwrap();
    curl(&["--http2", &format!("{url}/upgraded")]).unwrap();
    let front = lines_with(&nghttpx.folder().join("log"), "answered ", 305).unwrap();
    let behind = uvicorn.printed("answered ", 305).unwrap();
    let alone = nghttpd.printed(":path: ", 303).unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    let short =
        |call: &NdjsonCall| format!("{} {} {}", call.method, call.path, call.status.unwrap_or_default());
    assert_eq!(seen(&calls, &nghttpx, short), tally(front));
    assert_eq!(seen(&calls, &uvicorn, whole), tally(behind));
    assert_eq!(seen(&calls, &nghttpd, |call| call.path.clone()), tally(alone));
    let to_nghttpd = format!(":{}", nghttpd.address().port());
    assert!(calls.iter().filter(|call| call.dst.ends_with(&to_nghttpd)).all(|call| call.protocol == "http2"));
}

/// What an agent does with tools, by the library that everybody takes.
#[test]
fn tools_of_mcp() {
    let name = "peers::tools_of_mcp";
    if !can_run(name, &[PYTHON]) {
        return;
    }
    let (mark, packages) = (mark("mcp"), pypi());
    let server = TOOLS.serve(&[&packages, &mark]).unwrap();
    let watch = Watch::calls().unwrap();
    AGENT.run(&[&format!("{}{mark}", server.url()), &packages]).unwrap();
    let called = tally(server.printed("called ", 5).unwrap());
    let calls = watch.end_with_calls(&mark).unwrap();
    let used = calls.iter().filter(|call| call.protocol == "mcp" && call.operation.starts_with("tools/call"));
    let used = tally(used.map(|call| call.operation.trim_start_matches("tools/call").trim().to_owned()));
    assert_eq!(
        used,
        called,
        "{:#?}",
        calls
            .iter()
            .map(|call| (&call.protocol, &call.method, &call.operation, call.failed))
            .collect::<Vec<_>>()
    );
}
