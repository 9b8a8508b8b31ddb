//! Network namespaces that stand for nodes: each with a cgroup of its own, all on one bridge, an agent in each.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apisec_engine::snapshot::Snapshot;
use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;
use crate::netns::Namespace;
use crate::tool::{self, Running};
use crate::watch::is_attached;

/// How long all agents may take to attach on a machine that is compiling.
const ATTACH: Duration = Duration::from_secs(180);
/// How long the tool may take to end.
const END: Duration = Duration::from_secs(180);

/// Two nodes and the bridge between them.
#[derive(Debug)]
pub struct Nodes {
    /// The nodes, `n0` and `n1`.
    pub nodes: [Namespace; 2],
    _bridge: Namespace,
}

impl Nodes {
    /// Makes them.
    ///
    /// # Errors
    /// Without root, iproute2 or a cgroup2 file system.
    pub fn new() -> Result<Self> {
        let bridge = Namespace::new()?;
        bridge.ip(&["link", "add", "br0", "type", "bridge"])?;
        bridge.ip(&["link", "set", "br0", "up"])?;
        let nodes = [Namespace::with_cgroup()?, Namespace::with_cgroup()?];
        for (at, node) in nodes.iter().enumerate() {
            let port = format!("port{at}");
            let wire = ["link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", bridge.name()];
            node.ip(&wire)?;
            node.ip(&["address", "add", &format!("{}/24", Self::address(at)), "dev", "eth0"])?;
            node.ip(&["link", "set", "eth0", "up"])?;
            bridge.ip(&["link", "set", &port, "master", "br0", "up"])?;
        }
        Ok(Self { nodes, _bridge: bridge })
    }

    /// The address of a node.
    pub fn address(node: usize) -> IpAddr {
        Ipv4Addr::new(10, 219, 0, 1 + u8::try_from(node).unwrap_or(u8::MAX)).into()
    }

    /// Watches both through agents, until [`Watched::end`]; attached when it returns.
    ///
    /// # Errors
    /// When it ends early or does not attach.
    pub fn watch(&self) -> Result<Watched> {
        let mut command = tool::command(&["cluster", "--headless", "--no-state", "--output", "json"])?;
        command.env_remove("APISEC_TOP_STATE").env_remove("APISEC_TOP_CONFIG");
        for (at, node) in self.nodes.iter().enumerate() {
            command.arg("--node").arg(format!("n{at}={}", agent(node)?));
        }
        let watched = Watched { running: Running::start_command(command)? };
        self.until_attached()?;
        Ok(watched)
    }

    /// Waits until an agent is at work on both.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn until_attached(&self) -> Result<()> {
        eventually("agents on both nodes", ATTACH, || {
            let attached =
                |node: &Namespace| agent_of(node).is_some_and(|pid| is_attached(pid).unwrap_or(false));
            self.nodes.iter().all(attached).then_some(())
        })
    }

    /// Kills the agent of a node, as the kernel's lack of memory would; returns its process id.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_agent(&self, node: usize) -> Result<u32> {
        let pid = self.nodes.get(node).and_then(agent_of).context("an agent")?;
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(process, Signal::KILL)?;
        eventually("its end", END, || {
            (!fs::exists(format!("/proc/{pid}/fd/0")).unwrap_or(true)).then_some(pid)
        })
    }

    /// Waits until the agent of a node has told what it has counted so far.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn until_reported(&self, node: usize) -> Result<()> {
        let pid = self.nodes.get(node).and_then(agent_of).context("an agent")?;
        // Each word is a write. Reports come every second, answers to beats every other one: among six words are
        // three reports.
        let words = || words(pid).unwrap_or_default();
        let before = words();
        eventually("three reports", END, || (words() >= before + 6).then_some(()))
    }

    /// Whether an agent runs on a node.
    pub fn has_agent(&self, node: usize) -> bool {
        self.nodes.get(node).and_then(agent_of).is_some()
    }

    /// Asks a URL from a node, so many times.
    ///
    /// # Errors
    /// When it is not answered.
    pub fn ask(&self, node: usize, url: &str, times: usize) -> Result<()> {
        let node = self.nodes.get(node).context("a node")?;
        for _ in 0..times {
            let mut curl: Command = node.command("curl");
            let output = curl.args(["-sS", "--max-time", "15", url]).output()?;
            if !output.status.success() {
                bail!("{url}: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(())
    }
}

/// The shell command that leads to an agent on a node.
fn agent(node: &Namespace) -> Result<String> {
    let (enter, cgroup) = (node.entrance().context("a cgroup")?, node.cgroup().context("a cgroup")?);
    // `exec` is put before it; the cgroup is entered by a shell.
    let tool = tool::apisec_top()?;
    Ok(format!("sh -c '{enter} {} agent --cgroup {}'", tool.display(), cgroup.display()))
}

/// How often a process wrote something.
fn words(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("syscw: "))?.trim().parse().ok()
}

/// The agent that runs in a node.
fn agent_of(node: &Namespace) -> Option<u32> {
    let members = fs::read_to_string(node.cgroup()?.join("cgroup.procs")).ok()?;
    members.lines().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0);
        words.next().is_some_and(|program| program.ends_with(b"apisec-top")) && words.next() == Some(b"agent")
    })
}

/// The tool while it watches nodes.
#[derive(Debug)]
pub struct Watched {
    running: Running,
}

impl Watched {
    /// Ends it and returns what it knows.
    ///
    /// # Errors
    /// When it failed or printed something else.
    pub fn end(self) -> Result<Snapshot> {
        let run = self.running.interrupt(END)?;
        serde_json::from_value(run.json()?).context("a snapshot")
    }

    /// Ends it in a way that it cannot know of before.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(self) -> Result<()> {
        self.running.process().signal(Signal::KILL)?;
        self.running.wait(END).map(drop)
    }
}
