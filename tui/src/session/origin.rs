//! Where the calls come from, opened: a source, names for it, and what there is to say about it.

use crate::exit::Failure;
use crate::report::Report;
use crate::shop::Shop;
use apisec_engine::case::Settings as Detectors;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::drift::Given;
use apisec_probe::attach::{Bodies, Own};
use apisec_probe::cluster::hub::Target;
use apisec_probe::cluster::link::Link;
use apisec_probe::cluster::names::Census;
use apisec_probe::identity::{self, AddressIdentity, Hosts, Identity, LocalIdentity};
use apisec_probe::kubernetes::access::Access;
use apisec_probe::kubernetes::census::Survey;
use apisec_probe::source::live::Live;
use apisec_probe::source::{self, Source, SourceError};
use apisec_probe::spec::{self, Loaded};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Some seconds of the shop, for those who cannot capture. How it is made: `demo/README.md`.
static RECORDED_DEMO: &[u8] = include_bytes!("../../../demo/sessions/shop.apisec");

/// What the shop documents of itself; it does more.
const DEMO_SPECS: [(&str, &str); 7] = [
    ("demo/openapi/cart.yaml", include_str!("../../../demo/openapi/cart.yaml")),
    ("demo/openapi/catalog.yaml", include_str!("../../../demo/openapi/catalog.yaml")),
    ("demo/openapi/gateway.yaml", include_str!("../../../demo/openapi/gateway.yaml")),
    ("demo/openapi/notifications.yaml", include_str!("../../../demo/openapi/notifications.yaml")),
    ("demo/openapi/orders.yaml", include_str!("../../../demo/openapi/orders.yaml")),
    ("demo/openapi/payments.yaml", include_str!("../../../demo/openapi/payments.yaml")),
    ("demo/openapi/users.yaml", include_str!("../../../demo/openapi/users.yaml")),
];

/// Where the calls come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// This node's kernel.
    Live,
    /// Files, one after the other.
    Files(Vec<PathBuf>),
    /// Other nodes, through agents.
    Nodes {
        /// The nodes.
        nodes: Vec<Node>,
        /// The cluster whose nodes they are.
        cluster: Option<Box<Cluster>>,
    },
    /// The demo shop: live if that is possible, else its recording.
    Demo {
        /// An attack to play.
        scenario: Option<String>,
    },
}

/// A cluster, as far as it tells something of its nodes.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How it is asked for names.
    pub access: Access,
    /// Specifications that it holds.
    pub documents: Loaded,
}

/// A node, and the way to its agent.
#[derive(Clone)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// The way.
    pub link: Arc<dyn Link>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What there is to be read.
pub(super) enum Traffic {
    /// What we capture, or captured once, with whoever knows who is at its ends.
    Here(Box<dyn Source>, Box<dyn Identity>),
    /// What agents report.
    There(Vec<Target>, Option<Box<dyn Census>>),
}

/// An origin that is ready to be read.
pub(super) struct Opened {
    /// The traffic.
    pub(super) traffic: Traffic,
    /// It ends by itself and can be made to wait.
    pub(super) bounded: bool,
    /// `LIVE` or `REPLAY`, with what is replayed.
    pub(super) title: String,
    /// The shop that has to stay open as long.
    pub(super) shop: Option<Shop>,
    /// What is known to be missing.
    pub(super) degradations: Vec<Degradation>,
}

impl Origin {
    /// Specifications that come with it.
    pub(super) fn specs(&self) -> Vec<Given> {
        match self {
            Self::Demo { .. } => {
                DEMO_SPECS.iter().map(|(name, text)| spec::from_bytes(name, text.as_bytes())).collect()
            }
            Self::Live | Self::Files(_) | Self::Nodes { .. } => Vec::new(),
        }
    }

    /// Whoever watches an attack on the shop does not wait ten minutes for what is usual to be known, unless that was set.
    pub(super) fn hurry(&self, detectors: &mut Detectors) {
        if !matches!(self, Self::Demo { scenario: Some(_) }) {
            return;
        }
        for (detector, setting) in HURRIED {
            detectors.0.entry((detector.to_owned(), setting.to_owned())).or_insert(HURRY);
        }
    }

    /// Opens it; `report` is how it will be printed, if it is.
    pub(super) fn open(&self, report: Option<&Report>, bodies: Bodies) -> Result<Opened, Failure> {
        match self {
            Self::Live => Ok(live(capture(bodies)?, None)?),
            Self::Files(paths) => files(paths),
            Self::Nodes { nodes, cluster } => Ok(there(nodes, cluster.as_deref())),
            Self::Demo { scenario } => match capture(bodies) {
                Ok(source) => {
                    let mut opened = live(source, Some(Shop::open(scenario.as_deref())?))?;
                    opened.degradations.extend(scenario.as_ref().map(|_| hurried()));
                    Ok(opened)
                }
                Err(why) => recorded_demo(&why.into(), report),
            },
        }
    }
}

/// Seconds after which something is usual while an attack on the shop is watched...
const HURRY: f64 = 45.0;
/// ...by these detectors, under these names of theirs.
const HURRIED: [(&str, &str); 3] =
    [("bfla-audience", "known"), ("lateral-movement", "known"), ("logic-sequence", "seen")];

fn hurried() -> Degradation {
    let names = HURRIED.map(|(detector, _)| detector).join(", ");
    Degradation {
        code: "demo-hurries".into(),
        severity: Severity::Notice,
        what: format!(
            "in this demonstration {HURRY} s are enough to know what is usual, else ten minutes: {names}"
        ),
        remedy: "elsewhere the settings say it: apisec-top print detectors".into(),
    }
}

fn capture(bodies: Bodies) -> Result<Live, SourceError> {
    Live::start(Own::Excluded, bodies, identity::seed)
}

/// Names come last: who listens in the shop is known from the first call on.
fn live(source: Live, shop: Option<Shop>) -> Result<Opened, SourceError> {
    Ok(Opened {
        traffic: Traffic::Here(Box::new(source), Box::new(LocalIdentity::start()?)),
        bounded: false,
        title: "LIVE".into(),
        shop,
        degradations: Vec::new(),
    })
}

fn there(nodes: &[Node], cluster: Option<&Cluster>) -> Opened {
    let target = |node: &Node| Target { name: node.name.clone(), link: node.link.clone() };
    let names = cluster.map(|cluster| Box::new(Survey { access: cluster.access.clone() }) as Box<dyn Census>);
    let title = match nodes {
        [node] => format!("NODE {}", node.name),
        _ => format!("{} NODES", nodes.len()),
    };
    Opened {
        traffic: Traffic::There(nodes.iter().map(target).collect(), names),
        bounded: false,
        title,
        shop: None,
        degradations: Vec::new(),
    }
}

fn files(paths: &[PathBuf]) -> Result<Opened, Failure> {
    let Some((first, others)) = paths.split_first() else {
        return Err(Failure::usage("no file was given", "apisec-top replay FILE"));
    };
    Ok(replay(source::open_all(first, others)?))
}

fn replay(source: Box<dyn Source>) -> Opened {
    Opened {
        title: format!("REPLAY {}", source.describe()),
        traffic: Traffic::Here(source, Box::new(AddressIdentity::new(Hosts::default()))),
        bounded: true,
        shop: None,
        degradations: Vec::new(),
    }
}

fn recorded_demo(why: &Failure, report: Option<&Report>) -> Result<Opened, Failure> {
    let opened = replay(source::open_bytes("demo shop", RECORDED_DEMO)?);
    announce(
        &format!("REPLAY of a recorded demo shop, because live capture is not possible here: {why}"),
        report,
    );
    let degradation = Degradation {
        code: "demo-replay".into(),
        severity: Severity::Partial,
        what: format!("this is a recording, because live capture is not possible here: {}", why.what),
        remedy: why.remedy.clone(),
    };
    Ok(Opened { degradations: vec![degradation], ..opened })
}

/// Says it before anything else: on standard output where people read that, else beside it.
fn announce(line: &str, report: Option<&Report>) {
    let for_people = report.is_some_and(|report| report.name == "table");
    let _closed = if for_people {
        writeln!(std::io::stdout(), "{line}\n")
    } else {
        writeln!(std::io::stderr(), "{line}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_specification_of_the_shop_is_there_and_whole() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/openapi");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), DEMO_SPECS.len());
        let specs = Origin::Demo { scenario: None }.specs();
        let whole = |given: &Given| given.spec.problems.is_empty() && !given.spec.operations.is_empty();
        assert!(specs.iter().all(whole), "{specs:#?}");
    }
}
