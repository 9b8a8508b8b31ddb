//! `kube` without another word: agents on nodes, the cluster in the terminal, and nothing left afterwards.

use super::access::{AccessOptions, name};
use crate::cli::{RunOptions, Span};
use crate::exit::{Exit, Failure, Outcome};
use crate::session::{self, Node, Origin};
use apisec_probe::kubernetes::access::{Access, Cluster};
use apisec_probe::kubernetes::cargo::Cargo;
use apisec_probe::kubernetes::documents::specifications;
use apisec_probe::kubernetes::fleet::{Fleet, Freight, Posting};
use apisec_probe::kubernetes::place::{Choice, Chosen, choose};
use apisec_probe::kubernetes::{rbac, sweep, wait};
use apisec_probe::source::SourceError;
use apisec_probe::spec::Loaded;
use clap::Args;
use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Images with a shell: for a program that brings everything with it, and for one that needs a C library.
pub(super) const STATIC_IMAGE: &str = "docker.io/library/busybox:1.37";
const DYNAMIC_IMAGE: &str = "docker.io/library/debian:stable-slim";
/// When agents end, whatever happens.
const DEADLINE: Duration = Duration::from_secs(4 * 3600);
/// Nodes that may get an agent without being asked for again.
const UNASKED: usize = 3;
/// Nodes that are named before it is done.
const NAMED: usize = 5;

/// What to watch, and with what.
#[derive(Args, Debug)]
pub(super) struct Watch {
    /// Watch the nodes on which these pods run
    #[arg(value_name = "POD", conflicts_with_all = ["nodes", "all_nodes"])]
    pods: Vec<String>,

    /// Watch the nodes on which pods of this namespace run [default: the context's]
    #[arg(long, short, value_name = "NAME", value_parser = name, conflicts_with_all = ["nodes", "all_nodes"])]
    namespace: Option<String>,

    /// Of all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "nodes", "all_nodes"])]
    all_namespaces: bool,

    /// Only pods with these labels, such as app=cart
    #[arg(long, short = 'l', value_name = "LABELS", conflicts_with_all = ["nodes", "all_nodes"])]
    selector: Option<String>,

    /// Watch these nodes
    #[arg(long, value_name = "NODE", value_delimiter = ',', conflicts_with = "all_nodes")]
    nodes: Vec<String>,

    /// Watch every node
    #[arg(long)]
    all_nodes: bool,

    #[command(flatten)]
    access: AccessOptions,

    #[command(flatten)]
    agents: AgentOptions,

    #[command(flatten)]
    options: RunOptions,
}

/// What there is before anything is done.
struct Seen {
    chosen: Chosen,
    namespace: Option<String>,
    /// Other runs that have something here.
    earlier: usize,
    documents: Loaded,
}

/// What agents are made of.
#[derive(Args, Debug)]
#[command(next_help_heading = "Agents")]
struct AgentOptions {
    /// The namespace that agents are put into; made when it is not there, and then taken away again
    #[arg(long, value_name = "NAME", default_value = rbac::AGENTS, value_parser = name)]
    agent_namespace: String,

    /// A stock image with a shell [default: busybox, or debian when the program is linked dynamically]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// The image holds the program, at this path: nothing is brought
    #[arg(long, value_name = "PATH", requires = "image", conflicts_with = "agent_binary")]
    program: Option<String>,

    /// The program that is brought, of the nodes' architecture [default: this one]
    #[arg(long, value_name = "FILE")]
    agent_binary: Option<PathBuf>,

    /// Agents end after this long, whatever happens [default: 4h]
    #[arg(long, value_name = "TIME")]
    agent_deadline: Option<Span>,

    /// Most CPU of an agent
    #[arg(long, value_name = "AMOUNT", default_value = "500m")]
    agent_cpu: String,

    /// Most memory of an agent
    #[arg(long, value_name = "AMOUNT", default_value = "512Mi")]
    agent_memory: String,

    /// Everything instead of a list of capabilities, for nodes that refuse those
    #[arg(long)]
    privileged: bool,

    /// Do not ask before agents are put on more than three nodes
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Watch {
    pub(super) fn run(self) -> Outcome {
        let freight = self.agents.freight()?;
        let access = self.access.access(self.namespace.clone());
        let Seen { chosen, namespace, earlier, documents } = wait(self.look(&access, &freight))?;
        let posting = self.agents.posting(&freight);
        self.agree(&chosen, &freight, &posting, earlier)?;
        let fleet = wait(async {
            let cluster = access.open().await?;
            let progress = self.prints().then(|| Box::new(progress) as Box<dyn Fn(&str, &str) + Send + Sync>);
            Fleet::muster(access.clone(), posting, freight, &cluster, progress).await
        })?;
        let nodes = chosen.nodes.iter().enumerate();
        let nodes: Vec<Node> =
            nodes.map(|(number, name)| Node { name: name.clone(), link: fleet.link(number, name) }).collect();
        let options = RunOptions { filter: self.filter(namespace.as_deref()), ..self.options.clone() };
        // However the session ends, agents are taken away.
        let leaving = Leaving(Some(fleet));
        let ended = session::run(
            &Origin::Nodes { nodes, cluster: Some(Box::new(session::Cluster { access, documents })) },
            &options,
        );
        let left = leaving.leave();
        let exit = ended?;
        left?;
        Ok(exit)
    }

    /// Nothing is drawn that lines would disturb.
    fn prints(&self) -> bool {
        let RunOptions { headless, output, fail_on, .. } = &self.options;
        *headless || output.is_some() || !fail_on.is_empty() || !io::stdout().is_terminal()
    }

    /// What is in the cluster, before anything is done there.
    async fn look(&self, access: &Access, freight: &Freight) -> Result<Seen, SourceError> {
        let cluster = access.open().await?;
        let architecture = match freight {
            Freight::Brought(cargo) => cargo.architecture,
            Freight::InImage(_) => "",
        };
        let (choice, namespace) = self.choice(&cluster);
        let chosen = choose(&cluster, &choice, architecture).await?;
        let earlier = sweep::find(&cluster, &self.agents.agent_namespace).await.objects;
        let runs: BTreeSet<String> =
            earlier.into_iter().map(|object| object.run).filter(|run| !run.is_empty()).collect();
        let documents = specifications(&cluster).await;
        Ok(Seen { chosen, namespace, earlier: runs.len(), documents })
    }

    fn choice(&self, cluster: &Cluster) -> (Choice, Option<String>) {
        if self.all_nodes {
            return (Choice::All, None);
        }
        if !self.nodes.is_empty() {
            return (Choice::Nodes(self.nodes.clone()), None);
        }
        let namespace = (!self.all_namespaces).then(|| cluster.namespace.clone());
        let names = self.pods.iter().map(|pod| pod.strip_prefix("pod/").unwrap_or(pod).to_owned()).collect();
        (Choice::Pods { namespace: namespace.clone(), names, selector: self.selector.clone() }, namespace)
    }

    /// The operator's; else what was asked for by name is what is looked at.
    fn filter(&self, namespace: Option<&str>) -> Option<String> {
        let narrowed = self.namespace.is_some() || !self.pods.is_empty() || self.selector.is_some();
        let own = namespace.filter(|_| narrowed).map(|name| format!("src:{name}/ | dst:{name}/"));
        self.options.filter.clone().or(own)
    }

    /// Says what will be done, and asks when it is much.
    fn agree(
        &self,
        chosen: &Chosen,
        freight: &Freight,
        posting: &Posting,
        earlier: usize,
    ) -> Result<(), Failure> {
        let mut err = io::stderr().lock();
        let plan = plan(chosen, freight, posting, earlier);
        // Nobody reads it: then it is not asked either.
        let _closed = write!(err, "{plan}");
        if self.agents.yes || chosen.nodes.len() <= UNASKED {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage(
                format!("agents on {} nodes are put there only when somebody agrees", chosen.nodes.len()),
                "--yes, or fewer nodes: -n NAMESPACE, -l LABELS, --nodes A,B",
            ));
        }
        let _closed = write!(err, "Go on? [y/N] ").and_then(|()| err.flush());
        let mut answer = String::new();
        let _closed = io::stdin().lock().read_line(&mut answer);
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(Failure::new("nothing was done", ""))
        }
    }
}

impl AgentOptions {
    fn freight(&self) -> Result<Freight, Failure> {
        match &self.program {
            Some(path) => Ok(Freight::InImage(path.clone())),
            None => Ok(Freight::Brought(Cargo::pack(self.agent_binary.as_deref())?)),
        }
    }

    fn posting(&self, freight: &Freight) -> Posting {
        let (dynamic, program) = match freight {
            Freight::Brought(cargo) => (cargo.dynamic, cargo.length()),
            Freight::InImage(_) => (false, 0),
        };
        let image = if dynamic { DYNAMIC_IMAGE } else { STATIC_IMAGE };
        Posting {
            namespace: self.agent_namespace.clone(),
            run: Fleet::number(),
            by: by(),
            image: self.image.clone().unwrap_or_else(|| image.to_owned()),
            program,
            deadline: self.agent_deadline.map_or(DEADLINE, |span| span.0),
            cpu: self.agent_cpu.clone(),
            memory: self.agent_memory.clone(),
            privileged: self.privileged,
        }
    }
}

/// Beside what is printed: standard output is the result's.
fn progress(node: &str, what: &str) {
    let _closed = writeln!(io::stderr(), "{node}: {what}");
}

/// Who is here, for whoever finds the agents.
pub(super) fn by() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).take(64).collect::<String>();
    format!("{}@{}", plain(if user.is_empty() { "somebody" } else { &user }), plain(&host))
}

fn plan(chosen: &Chosen, freight: &Freight, posting: &Posting, earlier: usize) -> String {
    let listed = |names: &[String]| {
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
    };
    let Posting { namespace, run, image, deadline, cpu, memory, .. } = posting;
    let brings = match freight {
        Freight::Brought(cargo) => format!("{} MiB are brought to each", cargo.weight().div_ceil(1 << 20)),
        Freight::InImage(path) => format!("the image holds {path}"),
    };
    let minutes = deadline.as_secs().div_ceil(60);
    let mut text = format!(
        "Agents on {} nodes: {}\n  in the namespace {namespace}, run {run}; {image}, {brings}; at most {cpu} CPU and \
         {memory} each, for {minutes} minutes at most\n",
        chosen.nodes.len(),
        listed(&chosen.nodes)
    );
    for (name, why) in chosen.left_out.iter().take(NAMED) {
        text.push_str(&format!("  not on {name}: {why}\n"));
    }
    if earlier > 0 {
        let runs = if earlier == 1 { "run has".to_owned() } else { format!("{earlier} runs have") };
        text.push_str(&format!("  another {runs} something here: kubectl apisec cleanup shows it\n"));
    }
    text
}

/// Takes agents away, at the latest when it is dropped by a panic.
struct Leaving(Option<Fleet>);

impl Leaving {
    fn leave(mut self) -> Outcome {
        match self.0.take() {
            Some(fleet) => wait(fleet.leave()).map(|()| Exit::Done).map_err(Failure::from),
            None => Ok(Exit::Done),
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(fleet) = self.0.take() {
            // The panic is what is told.
            let _worse = wait(fleet.leave());
        }
    }
}
