//! Who gives orders: the user behind `sudo`, the terminal, and where its ssh session comes from.

use crate::identity::process::{Stat, all_ancestors};
use crate::journal::Who;
use std::fs;
use std::path::Path;

/// Longest environment of an ancestor that is looked into.
const MAX_ENVIRONMENT: usize = 256 << 10;

/// The operator of this process; `through` says by which surface.
#[must_use]
pub fn operator(through: &str) -> Who {
    let pid = std::process::id();
    Who {
        user: user(),
        uid: rustix::process::geteuid().as_raw(),
        tty: tty(),
        ssh: ssh().map(|(client, _)| client).unwrap_or_default(),
        pid,
        through: through.to_owned(),
    }
}

/// Client and server end of the ssh session that we run in, as addresses with ports.
#[must_use]
pub fn ssh() -> Option<(String, String)> {
    let ours = std::env::var("SSH_CONNECTION").ok();
    let text = ours.or_else(|| {
        // sudo takes the variable away; an ancestor still has it.
        all_ancestors(std::process::id()).into_iter().find_map(|(pid, _)| variable(pid, "SSH_CONNECTION"))
    })?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [client, client_port, server, server_port] = words.as_slice() else { return None };
    Some((format!("{client}:{client_port}"), format!("{server}:{server_port}")))
}

/// Our ancestors, nearest first, with the names of their programs.
#[must_use]
pub fn ancestors() -> Vec<(u32, String)> {
    let all = all_ancestors(std::process::id()).into_iter();
    all.map(|(pid, Stat { comm, .. })| (pid, comm.to_string())).collect()
}

fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = crate::identity::process::read_bounded(&format!("/proc/{pid}/environ"), MAX_ENVIRONMENT)?;
    let mut all = bytes.split(|byte| *byte == 0);
    let found = all.find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(found.to_vec()).ok()
}

/// The user who logged in, where the system remembers; else who `sudo` says, else who we are.
fn user() -> String {
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    let login = login.filter(|uid: &u32| *uid != u32::MAX);
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    match (login, sudo) {
        (Some(uid), _) => name_of(uid),
        (None, Some(name)) => name.chars().filter(|one| !one.is_control()).take(64).collect(),
        (None, None) => name_of(rustix::process::getuid().as_raw()),
    }
}

fn name_of(uid: u32) -> String {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

fn tty() -> String {
    for descriptor in 0..3 {
        let Ok(path) = fs::read_link(format!("/proc/self/fd/{descriptor}")) else { continue };
        if path.starts_with("/dev/pts") || path.starts_with("/dev/tty") {
            let short = path.strip_prefix("/dev").unwrap_or(Path::new(""));
            return short.display().to_string();
        }
    }
    String::new()
}
