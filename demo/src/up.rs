//! The whole shop: every server and the load as child processes, started in order and stopped in order.

use crate::load::Volume;
use crate::process;
use crate::scenario::{self, Scenario};
use crate::service::{SERVICES, Service};
use crate::stop::StopSignal;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A server that does not listen by then never will, even on a machine that is busy.
const START: Duration = Duration::from_secs(20);
/// What a child may take to end after SIGTERM: a little more than it allows its own requests.
const GRACE: Duration = Duration::from_secs(4);

/// Options of `up`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `auto` picks free ports; a number is the first of consecutive ones.
    #[arg(long, value_name = "auto|BASE", default_value = "auto")]
    ports: Ports,
    #[command(flatten)]
    volume: Volume,
    /// Let every server write its requests to a file of its name in this folder, started anew.
    #[arg(long, value_name = "DIR")]
    access_log_dir: Option<PathBuf>,
    /// Also play this attack, once.
    #[arg(long, value_name = "NAME", value_parser = scenario::find)]
    scenario: Option<&'static Scenario>,
    /// Play the honest twin of the scenario instead.
    #[arg(long, requires = "scenario")]
    twin: bool,
    /// Die with this parent process.
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
}

/// Where the servers listen.
#[derive(Clone, Copy)]
enum Ports {
    Auto,
    From(u16),
}

impl FromStr for Ports {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let base = text.parse::<u16>().context("expected auto or a port")?;
        let count = u16::try_from(SERVICES.len()).context("too many servers")?;
        ensure!(base > 0 && base.checked_add(count).is_some(), "there are no {count} ports from {base} on");
        Ok(Self::From(base))
    }
}

impl Ports {
    /// Where the `index`th server listens.
    fn listen(self, index: usize) -> SocketAddr {
        let port = match self {
            Self::Auto => 0,
            Self::From(base) => base.saturating_add(index as u16),
        };
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}

/// Runs the shop until SIGINT or SIGTERM, the end of the requested load, or the end of a server.
///
/// # Errors
/// When a server does not start or ends by itself, or the load fails.
pub(crate) async fn run(options: Options) -> Result<()> {
    process::die_with(options.parent)?;
    let mut stop = StopSignal::new()?;
    let mut exits = signal(SignalKind::child()).context("cannot handle signals")?;
    if let Some(folder) = &options.access_log_dir {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut shop = tokio::select! {
        shop = Shop::open(&options) => shop?,
        () = stop.wait() => return Ok(()),
    };
    shop.announce()?;
    shop.let_in(&options)?;
    let outcome = tokio::select! {
        () = stop.wait() => Ok(()),
        outcome = shop.watch(&mut exits, options.volume.requests.is_some()) => outcome,
    };
    shop.close().await;
    outcome
}

struct Server {
    role: &'static str,
    address: SocketAddr,
    child: Child,
}

/// A process that sends requests.
struct Visitor {
    name: &'static str,
    child: Child,
}

/// Everything that runs. Children that are still there when it is dropped are killed.
struct Shop {
    servers: Vec<Server>,
    visitors: Vec<Visitor>,
}

impl Shop {
    async fn open(options: &Options) -> Result<Self> {
        let mut servers = Vec::new();
        for (index, service) in SERVICES.iter().enumerate() {
            servers.push(start(service, index, options, &servers).await?);
        }
        Ok(Self { servers, visitors: Vec::new() })
    }

    /// Prints the line that others wait for.
    fn announce(&self) -> Result<()> {
        let addresses =
            self.servers.iter().map(|server| (server.role.to_owned(), server.address.to_string().into()));
        let pids = self.servers.iter().map(|server| (server.role.to_owned(), server.child.id().into()));
        let (services, pids) = (addresses.collect::<Map<_, _>>(), pids.collect::<Map<_, _>>());
        let line = json!({"ready": true, "services": services, "pids": pids});
        writeln!(std::io::stdout(), "{line}").context("cannot say that the shop is ready")
    }

    /// Starts the load, and the scenario if there is one.
    fn let_in(&mut self, options: &Options) -> Result<()> {
        let gateway =
            self.servers.last().map(|server| server.address.to_string()).context("there is no gateway")?;
        let Volume { rate, requests, shoppers } = &options.volume;
        if *rate > 0.0 {
            let shoppers =
                options.scenario.map_or(*shoppers, |played| played.history.shoppers.max(*shoppers));
            let mut load = ourselves(&["load"])?;
            load.arg("--gateway").arg(&gateway);
            load.arg(format!("--rate={rate}")).arg(format!("--shoppers={shoppers}"));
            load.args(requests.map(|requests| format!("--requests={requests}")));
            self.visitors
                .push(Visitor { name: "load", child: load.spawn().context("cannot start the load")? });
        }
        if let Some(scenario) = options.scenario {
            let mut play = ourselves(&["scenario", scenario.name])?;
            play.arg("--gateway").arg(&gateway).args(options.twin.then_some("--twin"));
            play.arg(format!("--after={}", scenario.history.live));
            for server in &self.servers {
                play.arg("--peers").arg(format!("{}={}", server.role, server.address));
            }
            self.visitors.push(Visitor {
                name: "scenario",
                child: play.spawn().context("cannot start the scenario")?,
            });
        }
        Ok(())
    }

    /// Returns when a server has ended, a visitor failed, or, if `bounded`, every visitor is done.
    async fn watch(&mut self, exits: &mut Signal, bounded: bool) -> Result<()> {
        loop {
            for server in &mut self.servers {
                if let Some(status) = server.child.try_wait()? {
                    bail!("{} ended by itself: {status}", server.role);
                }
            }
            self.see_off()?;
            if bounded && self.visitors.is_empty() {
                return Ok(());
            }
            exits.recv().await;
        }
    }

    /// Takes visitors off the list who are done.
    fn see_off(&mut self) -> Result<()> {
        let mut staying = Vec::new();
        for mut visitor in self.visitors.drain(..) {
            match visitor.child.try_wait()? {
                None => staying.push(visitor),
                Some(status) => ensure!(status.success(), "the {} failed: {status}", visitor.name),
            }
        }
        self.visitors = staying;
        Ok(())
    }

    /// Stops those who send before those who answer, callers before callees.
    async fn close(&mut self) {
        for visitor in &mut self.visitors {
            end(visitor.name, &mut visitor.child).await;
        }
        for server in self.servers.iter_mut().rev() {
            end(server.role, &mut server.child).await;
        }
    }
}

/// Starts one server and waits for it to say where it listens.
async fn start(
    service: &'static Service,
    index: usize,
    options: &Options,
    callees: &[Server],
) -> Result<Server> {
    let role = service.name;
    let mut command = ourselves(&["serve", role])?;
    command.arg("--listen").arg(options.ports.listen(index).to_string());
    for callee in callees.iter().filter(|callee| service.calls.contains(&callee.role)) {
        command.arg("--peers").arg(format!("{}={}", callee.role, callee.address));
    }
    if let Some(folder) = &options.access_log_dir {
        command.arg("--access-log").arg(folder.join(format!("{role}.jsonl")));
    }
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {role}"))?;
    let listening = tokio::time::timeout(START, listening(&mut child)).await;
    let address = listening.with_context(|| format!("{role} does not listen after {} s", START.as_secs()))?;
    Ok(Server { role, address: address.with_context(|| format!("{role} does not listen"))?, child })
}

async fn listening(child: &mut Child) -> Result<SocketAddr> {
    let mut stdout = BufReader::new(child.stdout.take().context("it has no output")?);
    let mut line = String::new();
    if stdout.read_line(&mut line).await? == 0 {
        bail!("it ended first: {}", child.wait().await?);
    }
    let said: Value = serde_json::from_str(&line).context("it says something else")?;
    let address = said.get("listening").and_then(Value::as_str).context("it does not say where")?;
    address.parse().context("it says no address")
}

/// This program again, with other words. In a process group of its own, so that Ctrl-C reaches
/// only us and everything is stopped in order.
fn ourselves(words: &[&str]) -> Result<Command> {
    let program = std::env::current_exe().context("cannot find our own program")?;
    let mut command = Command::new(program);
    command.args(words).arg(format!("--parent={}", std::process::id()));
    command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
    Ok(command)
}

/// Ends a child: asks first, then kills.
async fn end(name: &str, child: &mut Child) {
    process::terminate(child.id());
    let ended: Option<std::io::Result<ExitStatus>> = tokio::time::timeout(GRACE, child.wait()).await.ok();
    if ended.is_none() {
        process::complain(&format!("{name} did not stop and is killed"));
        if let Err(error) = child.kill().await {
            process::complain(&format!("{name} cannot be killed: {error}"));
        }
    }
}
