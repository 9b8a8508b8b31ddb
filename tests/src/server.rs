//! Real servers on free ports, with their own account of what they answered.
//!
//! Readiness is a connection that succeeds, never a pause. Everything ends when the fixture is dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use serde::Deserialize;
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::netns::Namespace;
use crate::process::Process;
use crate::{eventually, skip};

/// How long a server may take to listen: generous, since the machine may be compiling.
const START: Duration = Duration::from_secs(180);
/// How often a server is started anew when another process took its port meanwhile.
const PORT_TRIES: usize = 5;

/// A port that was free a moment ago on `address`.
///
/// # Errors
/// When no port is left.
pub fn free_port(address: IpAddr) -> Result<u16> {
    Ok(TcpListener::bind((address, 0)).with_context(|| format!("bind {address}"))?.local_addr()?.port())
}

/// A server process that listens.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// Starts what `command` makes of a free port and a temporary folder, and waits until it listens.
    ///
    /// # Errors
    /// When it does not start, ends early, or does not listen in time; with the end of what it printed.
    pub fn start(command: impl Fn(SocketAddr, &Path) -> Result<Command>) -> Result<Self> {
        let mut last = anyhow!("not tried");
        for _ in 0..PORT_TRIES {
            let port = free_port(Ipv4Addr::LOCALHOST.into())?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            match Self::start_at(address, None, &command) {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The same at a given address, which may be one of a namespace.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at(
        address: SocketAddr,
        namespace: Option<&Namespace>,
        command: impl Fn(SocketAddr, &Path) -> Result<Command>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("apisec-server-").tempdir()?;
        let printed = folder.path().join("printed");
        let output = fs::File::create(&printed)?;
        let mut inner = command(address, folder.path())?;
        if let Some(namespace) = namespace {
            inner = inside(namespace, &inner);
        }
        inner.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Process::start(inner)?;
        let mut server = Self { process, address, folder };
        server.wait_until_it_listens(namespace, &printed)?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self, namespace: Option<&Namespace>, printed: &Path) -> Result<()> {
        let address = self.address;
        let ready = eventually(&format!("a server on {address}"), START, || {
            match self.process.poll() {
                Ok(Some(status)) => return Some(Err(anyhow!("ended early: {status}"))),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            listens(namespace, address).then_some(Ok(()))
        });
        ready.and_then(|outcome| outcome).with_context(|| fs::read_to_string(printed).unwrap_or_default())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The rest of each line that it printed with `word` in it, once there are `count` of them.
    ///
    /// # Errors
    /// When there are not within the time that a server may take.
    pub fn printed(&self, word: &str, count: usize) -> Result<Vec<String>> {
        lines_with(&self.folder().join("printed"), word, count)
    }

    /// Ends it by `signal` and waits for that.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self, signal: Signal) -> Result<()> {
        self.process.stop(signal).map(drop)
    }
}

/// The rest of each line of a file that has `word` in it, once there are `count` of them.
///
/// # Errors
/// When there are not within the time that a server may take.
pub fn lines_with(path: &Path, word: &str, count: usize) -> Result<Vec<String>> {
    let mut found = Vec::new();
    eventually(&format!("{count} lines with {word:?} in {}", path.display()), START, || {
        let text = fs::read_to_string(path).unwrap_or_default();
        found = text.lines().filter_map(|line| Some(line.split_once(word)?.1.trim().to_owned())).collect();
        (found.len() >= count).then_some(())
    })
    .with_context(|| fs::read_to_string(path).unwrap_or_default())?;
    Ok(found)
}

/// Python's own file server, in HTTP/1.1, on the folder's `www`.
///
/// # Errors
/// As [`Server::start`].
pub fn python(files: &[(&str, &str)]) -> Result<Server> {
    let python = skip::find_program("python3").context("python3 is not installed")?;
    Server::start(|address, folder| {
        let root = folder.join("www");
        fs::create_dir_all(&root)?;
        for (name, text) in files {
            fs::write(root.join(name), text)?;
        }
        let mut command = Command::new(&python);
        command.args(["-m", "http.server", "--protocol", "HTTP/1.1", "--bind"]);
        command.arg(address.ip().to_string()).arg("--directory").arg(root).arg(address.port().to_string());
        Ok(command)
    })
}

/// nginx with an access log that holds one JSON object per request.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
}

/// What an nginx should be like.
#[derive(Clone, Copy, Debug)]
pub struct NginxSetup<'a> {
    /// What stands inside the `server` block.
    pub server: &'a str,
    /// What stands inside the `http` block beside it: upstreams, maps.
    pub http: &'a str,
    /// Worker processes.
    pub workers: u8,
    /// Where to listen; `None` is a free port of 127.0.0.1.
    pub listen: Option<SocketAddr>,
    /// The namespace to run in.
    pub namespace: Option<&'a Namespace>,
    /// Speaks TLS with this certificate.
    pub certificate: Option<&'a Certificate>,
    /// Speaks HTTP/2 where the client does too.
    pub http2: bool,
}

impl Default for NginxSetup<'_> {
    fn default() -> Self {
        Self {
            server: ANSWERS,
            http: "",
            workers: 1,
            listen: None,
            namespace: None,
            certificate: None,
            http2: false,
        }
    }
}

/// About 200 bytes of JSON on several paths, and the statuses that a client may ask for.
pub const ANSWERS: &str = r#"
    default_type application/json;
    location / { return 200 '{"path":"$uri","items":[{"id":1,"name":"alpha"},{"id":2,"name":"beta"},{"id":3,"name":"gamma"}],"page":1,"pages":12,"total":36,"next":"/items?page=2","links":{"self":"$uri"}}'; }
    location /missing { return 404 '{"error":"missing"}'; }
    location /broken { return 500 '{"error":"broken"}'; }
    location /moved { return 302 /; }
    location /empty { return 204; }
"#;

impl Nginx {
    /// Starts one, and waits until it listens.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start(setup: NginxSetup<'_>) -> Result<Self> {
        let nginx = skip::find_program("nginx").context("nginx is not installed")?;
        let command = |address: SocketAddr, folder: &Path| {
            fs::write(folder.join("nginx.conf"), configuration(&setup, address, folder))?;
            let mut command = Command::new(&nginx);
            command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log"));
            command.arg("-c").arg(folder.join("nginx.conf"));
            Ok(command)
        };
        let server = match setup.listen {
            Some(address) => Server::start_at(address, setup.namespace, command)?,
            None => Server::start(command)?,
        };
        Ok(Self { server })
    }

    /// The process itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://` and its address.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Where the access log is.
    pub fn log_path(&self) -> PathBuf {
        self.server.folder().join("access.log")
    }

    /// The access log as soon as it holds at least `requests` lines.
    ///
    /// # Errors
    /// When it does not within the time that a server may take.
    pub fn log_of(&self, requests: usize) -> Result<Vec<Logged>> {
        let path = self.log_path();
        eventually(&format!("{requests} lines in the access log"), START, || {
            read_log(&path).ok().filter(|lines| lines.len() >= requests)
        })
    }

    /// Ends nginx after the requests in flight and returns the whole access log.
    ///
    /// # Errors
    /// When nginx does not end, or its log cannot be read.
    pub fn finish(mut self) -> Result<Vec<Logged>> {
        self.server.stop(Signal::QUIT)?;
        read_log(&self.log_path())
    }
}

/// What nginx says about one request.
#[derive(Clone, Debug, Deserialize)]
pub struct Logged {
    /// When it was logged, that is after the last byte, in Unix seconds with milliseconds.
    pub msec: f64,
    /// The request method.
    pub method: String,
    /// The request target as sent.
    pub uri: String,
    /// The response status.
    pub status: u16,
    /// Bytes of the request: line, headers and body.
    pub request_length: u64,
    /// Bytes of the response: line, headers and body.
    pub bytes_sent: u64,
    /// Bytes of the response's body.
    pub body_bytes_sent: u64,
    /// From the first byte of the request to the last of the response, in seconds with milliseconds.
    pub request_time: f64,
    /// The client's port.
    pub remote_port: u16,
    /// Which request of its connection it is, from 1.
    pub connection_requests: u64,
}

fn configuration(setup: &NginxSetup<'_>, address: SocketAddr, folder: &Path) -> String {
    let NginxSetup { server, http, workers, .. } = setup;
    let (ssl, keys) = setup.certificate.map_or_else(Default::default, |certificate| {
        let (key, chain) =
            (certificate.key().display().to_string(), certificate.chain().display().to_string());
        (
            if setup.http2 { "ssl http2 " } else { "ssl " },
            format!("ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"),
        )
    });
    let folder = folder.display();
    format!(
        r#"daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
  log_format account escape=json '{{"msec":$msec,"method":"$request_method","uri":"$request_uri","status":$status,'
    '"request_length":$request_length,"bytes_sent":$bytes_sent,"body_bytes_sent":$body_bytes_sent,'
    '"request_time":$request_time,"remote_port":$remote_port,"connection_requests":$connection_requests}}';
  access_log {folder}/access.log account;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  {http}
  server {{
    listen {address} {ssl}reuseport backlog=4096;
    {keys}
    {server}
  }}
}}
"#
    )
}

fn read_log(path: &Path) -> Result<Vec<Logged>> {
    let file = fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        // So it says of what it did not answer at all, and that is no number.
        let line = line?.replace("\"status\":000", "\"status\":0");
        lines.push(serde_json::from_str(&line).with_context(|| format!("access log: {line}"))?);
    }
    if lines.is_empty() {
        bail!("the access log is empty");
    }
    Ok(lines)
}

fn listens(namespace: Option<&Namespace>, address: SocketAddr) -> bool {
    let Some(namespace) = namespace else {
        return TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
    };
    let filter = format!("sport = :{}", address.port());
    let output = namespace.command("ss").args(["-Hltn", &filter]).output();
    output.is_ok_and(|o| o.status.success() && !o.stdout.is_empty())
}

fn inside(namespace: &Namespace, inner: &Command) -> Command {
    let mut command = namespace.command(&inner.get_program().to_string_lossy());
    command.args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
