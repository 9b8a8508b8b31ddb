//! `cluster`: several nodes as one picture.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::{Failure, Outcome};
use crate::session::{self, Node, Origin};
use apisec_probe::cluster::link::{Link, Program, Socket};
use clap::Args;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest name of a node: as of a host in the DNS.
const MAX_NAME: usize = 253;
/// What a way through a socket begins with.
const SOCKET: &str = "unix:";

/// Watch several nodes.
#[derive(Args, Debug)]
pub(super) struct Cluster {
    /// A node, and a shell command whose standard streams lead to `apisec-top agent` on it (or unix:PATH of a
    /// socket); may be given several times
    #[arg(long = "node", value_name = "NAME=COMMAND", required = true)]
    nodes: Vec<String>,

    #[command(flatten)]
    options: RunOptions,
}

impl Job for Cluster {
    const NAME: &'static str = "cluster";
    const ABOUT: &'static str = "Watch several nodes as one, through an agent on each";
    const LONG_ABOUT: &'static str = "\
Starts `apisec-top agent` on every node by the command that is given for it, merges what they report, and shows \
it as `live` does for one node: a call that two nodes see is counted once, at its server; times are by the clock \
of this machine. Agents need root and the same version; this side needs neither.

A node that is lost is looked for again and again, and said to be missing. When this program ends, however it \
does, the agents end too and leave nothing behind.";
    const EXAMPLES: &'static str = "\
Examples:
  apisec-top cluster --node web='ssh root@web apisec-top agent' --node db='ssh root@db apisec-top agent'
  apisec-top cluster --node web='ssh web sudo apisec-top agent' --duration 30s --output json
  apisec-top cluster --node n1='kubectl exec -i apisec-n1 -- apisec-top agent'";

    fn run(self) -> Outcome {
        let nodes: Vec<Node> = self.nodes.iter().map(|text| node(text)).collect::<Result<_, _>>()?;
        let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        if names.len() < nodes.len() {
            return Err(Failure::usage("two nodes have the same name", "give each --node its own NAME"));
        }
        session::run(&Origin::Nodes { nodes, cluster: None }, &self.options)
    }
}

fn node(text: &str) -> Result<Node, Failure> {
    let wrong = |what: String| Failure::usage(what, "--node web='ssh root@web apisec-top agent'");
    let Some((name, command)) = text.split_once('=') else {
        return Err(wrong(format!("--node {text} names no command")));
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        return Err(wrong(format!("`{name}` is no name of a node: letters, digits, - _ .")));
    }
    if command.trim().is_empty() {
        return Err(wrong(format!("the node {name} has no command")));
    }
    let link: Arc<dyn Link> = match command.strip_prefix(SOCKET) {
        Some(path) => Arc::new(Socket { path: path.into() }),
        // `exec`: what is started is what ends with its input, not a shell around it.
        None => Arc::new(Program { words: vec!["sh".into(), "-c".into(), format!("exec {command}")] }),
    };
    Ok(Node { name: name.to_owned(), link })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_name_and_a_command() {
        assert_eq!(node("web=ssh web apisec-top agent --deadline=1h").unwrap().name, "web");
        for wrong in ["web", "=ssh", "web=", "we/b=ssh", "we:b=ssh"] {
            assert!(node(wrong).is_err(), "{wrong}");
        }
    }
}
