//! `kube`, also called as `kubectl apisec`: a whole cluster.

mod access;
mod cleanup;
mod doctor;
mod policy;
mod watch;

use crate::command::Job;
use crate::exit::Outcome;
use clap::{Args, Subcommand};

pub(crate) use access::name;

/// Look at a cluster.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Kube {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    watch: watch::Watch,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Say whether a cluster can be looked at from here, and which rights are missing
    #[command(after_help = doctor::EXAMPLES, long_about = doctor::LONG_ABOUT)]
    Doctor(doctor::Doctor),
    /// Show what earlier runs left in a cluster, and take it away
    #[command(after_help = cleanup::EXAMPLES, long_about = cleanup::LONG_ABOUT)]
    Cleanup(cleanup::Cleanup),
    /// Put policies into force as objects of the cluster, list them, take them back
    #[command(after_help = policy::EXAMPLES, long_about = policy::LONG_ABOUT)]
    Policy(policy::Policy),
}

impl Job for Kube {
    const NAME: &'static str = "kube";
    const ABOUT: &'static str = "Watch nodes of a Kubernetes cluster; also called as `kubectl apisec`";
    const LONG_ABOUT: &'static str = "\
Puts an agent on each chosen node for as long as this runs, merges what they report, and shows it as `live` does for \
one node. Installed under the name kubectl-apisec (a link is enough) it is `kubectl apisec`, with the same arguments. \
No workload is changed. Pods are shown as what controls them (deployment:shop/cart), addresses as whoever had them at \
that time, cluster addresses as the workload behind the service; an address that two claim stays one. \
Specifications are read from ConfigMaps with the label apisec-top/spec; the annotation apisec-top/describes names the \
workload of its namespace.

An agent is a job whose pod is placed on the node by name: host processes and network, a list of capabilities instead \
of privileged, no account, a read-only root, limits. This program is streamed into a stock image and checked by its \
hash. Agents report over exec. They end when this program ends however it does, when it is not heard for 15 s, and at \
their deadline; their jobs are taken away at the end, or go with their pods within a minute when nobody is left to do that.";
    const EXAMPLES: &'static str = "\
Examples:
  kubectl apisec -n shop                              the nodes on which the pods of shop run
  kubectl apisec -n shop -l app=cart                  only where these run
  kubectl apisec cart-7d4b9-x2x7k -n shop             the node of one pod
  kubectl apisec --nodes node-a,node-b --duration 30s --output json
  kubectl apisec doctor --context prod                rights, Pod Security, kernels: what is missing
  kubectl apisec cleanup                              what runs that were killed left behind
  kubectl apisec print rbac | kubectl apply -f -      least privilege, as an administrator";

    fn run(self) -> Outcome {
        match self.what {
            None => self.watch.run(),
            Some(What::Doctor(doctor)) => doctor.run(),
            Some(What::Cleanup(cleanup)) => cleanup.run(),
            Some(What::Policy(policy)) => policy.run(),
        }
    }
}
