//! `kube`, also called as `kubectl apisec`: a whole cluster.

mod access;
mod doctor;

use crate::command::Job;
use crate::exit::Outcome;
use clap::{Args, Subcommand};

pub(crate) use access::name;

/// Look at a cluster.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(super) struct Kube {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Say whether a cluster can be looked at from here, and which rights are missing
    #[command(after_help = doctor::EXAMPLES, long_about = doctor::LONG_ABOUT)]
    Doctor(doctor::Doctor),
}

impl Job for Kube {
    const NAME: &'static str = "kube";
    const ABOUT: &'static str = "Look at a Kubernetes cluster; also called as `kubectl apisec`";
    const LONG_ABOUT: &'static str = "\
Talks to the API server that the kubeconfig names, as kubectl does. Installed under the name kubectl-apisec (a link \
is enough) it is `kubectl apisec`, with the same arguments.

So far it examines a cluster and prints the rights that are missing; agents are not put on nodes yet. \
`apisec-top cluster` watches several nodes through any command that leads to an agent.";
    const EXAMPLES: &'static str = "\
Examples:
  kubectl apisec doctor                               what is missing here, rights as YAML
  kubectl apisec doctor --context prod --as jo
  apisec-top kube doctor --kubeconfig ./prod.yaml     the same without kubectl
  kubectl apisec print rbac | kubectl apply -f -      least privilege, as an administrator";

    fn run(self) -> Outcome {
        match self.what {
            What::Doctor(doctor) => doctor.run(),
        }
    }
}
