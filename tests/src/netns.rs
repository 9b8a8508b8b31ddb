//! Network namespaces joined by veth pairs. Needs root; everything is removed on drop.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use apisec_probe::attach::cgroup::mount_point;

use crate::eventually;

/// Numbers the namespaces of this process, so that tests which run at the same time do not collide.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A network namespace with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    cgroup: Option<PathBuf>,
}

impl Namespace {
    /// A new, empty namespace.
    ///
    /// # Errors
    /// Without root, or without iproute2.
    pub fn new() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("apisec-{}-{number}", process::id()), cgroup: None };
        ip(&["netns", "add", &namespace.name])?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// A new namespace with a cgroup of the same name: all that runs in it is in both, as on a node of its own.
    ///
    /// # Errors
    /// Without root, iproute2 or a cgroup2 file system.
    pub fn with_cgroup() -> Result<Self> {
        let mut namespace = Self::new()?;
        let root = mount_point().context("no cgroup2 file system is mounted")?;
        let cgroup = root.join(&namespace.name);
        fs::create_dir(&cgroup).with_context(|| format!("create {}", cgroup.display()))?;
        namespace.cgroup = Some(cgroup);
        Ok(namespace)
    }

    /// The folder of its cgroup.
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    /// The name that `ip netns` knows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let Some(enter) = self.entrance() else {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &self.name, program]);
            return command;
        };
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{enter} \"$0\" \"$@\""), program]);
        command
    }

    /// The beginning of a shell command that runs in the namespace and its cgroup; `None` without a cgroup.
    ///
    /// `ip netns exec` would hide the cgroups, because it mounts another `/sys`.
    pub fn entrance(&self) -> Option<String> {
        let (name, cgroup) = (&self.name, self.cgroup.as_ref()?.display());
        Some(format!("echo 0 > {cgroup}/cgroup.procs && exec nsenter --net=/run/netns/{name} --"))
    }

    /// Runs `ip` inside.
    ///
    /// # Errors
    /// With what `ip` said.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments);
        ip(&all)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
        // Processes that were killed a moment ago may still be in it: it is left then, and is empty.
        let gone = self.cgroup.as_deref().map(|cgroup| {
            eventually("an empty cgroup", Duration::from_secs(60), || fs::remove_dir(cgroup).ok())
        });
        if let Some(Err(error)) = gone {
            eprintln!("{error:#}");
        }
    }
}

/// Two namespaces joined by a veth pair, each with an IPv4 and an IPv6 address on it.
#[derive(Debug)]
pub struct Pair {
    /// One side.
    pub left: Namespace,
    /// The other side.
    pub right: Namespace,
}

impl Pair {
    /// The IPv4 address of the left side.
    pub const LEFT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 1));
    /// The IPv4 address of the right side.
    pub const RIGHT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 2));
    /// The IPv6 address of the left side.
    pub const LEFT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd13, 0, 0, 0, 0, 0, 0, 1));
    /// The IPv6 address of the right side.
    pub const RIGHT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd13, 0, 0, 0, 0, 0, 0, 2));

    /// Two new namespaces and the link between them.
    ///
    /// # Errors
    /// Without root, or without iproute2.
    pub fn new() -> Result<Self> {
        let pair = Self { left: Namespace::new()?, right: Namespace::new()? };
        let (left, right) = (&pair.left, &pair.right);
        left.ip(&["link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", right.name()])?;
        for (side, v4, v6) in [(left, Self::LEFT, Self::LEFT_V6), (right, Self::RIGHT, Self::RIGHT_V6)] {
            side.ip(&["address", "add", &format!("{v4}/30"), "dev", "veth0"])?;
            side.ip(&["address", "add", &format!("{v6}/126"), "dev", "veth0", "nodad"])?;
            side.ip(&["link", "set", "veth0", "up"])?;
        }
        Ok(pair)
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run ip (iproute2)")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
