//! `agent`: captures here, for somebody who watches from elsewhere.

use crate::cli::Span;
use crate::command::Job;
use crate::exit::{Exit, Failure, Outcome};
use crate::session;
use apisec_probe::cluster::agent::{self, Ended, Orders};
use apisec_probe::reach::Reach;
use apisec_probe::source::SourceError;
use clap::Args;
use std::future::Future;
use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Share of one core above which an agent sheds work when nobody said.
const CPU_SHARE: f64 = 0.5;

/// Capture for somebody elsewhere.
#[derive(Args, Debug)]
pub(super) struct Agent {
    /// Watch only what runs below this folder of the cgroup2 tree, as if it were a node of its own
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,

    /// End after this long, whatever happens
    #[arg(long, value_name = "TIME")]
    deadline: Option<Span>,

    /// Share of one core above which work is shed [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    cpu_share: Option<f64>,
}

impl Job for Agent {
    const NAME: &'static str = "agent";
    const ABOUT: &'static str =
        "Capture on this node for `apisec-top cluster`, over standard input and output";
    const LONG_ABOUT: &'static str = "\
Captures and counts as `live` does, and reports to whoever started it: it speaks a protocol on standard input \
and output and is not for people. `apisec-top cluster` starts it, through ssh or kubectl exec.

It ends, and leaves nothing in the kernel, when its input is closed, on SIGHUP, SIGINT and SIGTERM, when \
nobody was heard for 15 s, and when its deadline is over.";
    const EXAMPLES: &'static str = "\
Examples:
  apisec-top cluster --node web='ssh root@web apisec-top agent'
  apisec-top cluster --node web='ssh root@web apisec-top agent --deadline 1h'";

    fn run(self) -> Outcome {
        if stdin().is_terminal() || stdout().is_terminal() {
            return Err(Failure::usage(
                "an agent speaks a protocol on its standard streams, and this is a terminal",
                "to look at this node: sudo apisec-top; at others: apisec-top cluster --help",
            ));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let orders = Orders {
            program: session::program(),
            deadline: self.deadline.map(|span| span.0),
            cpu_share: self.cpu_share.filter(|share| share.is_finite()).unwrap_or(CPU_SHARE),
            stop: stop.clone(),
            origin: Box::new(self.cgroup.map_or_else(Reach::mounted, Reach::Below)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::new(format!("there is no event loop: {error}"), "ulimit -n"))?;
        match runtime.block_on(until_it_ends(orders, &stop))?? {
            Ended::Misunderstood(why) => Err(Failure::new(
                why,
                "use the same version of apisec-top at both ends, as `apisec-top --version` tells",
            )),
            Ended::Asked | Ended::Closed | Ended::Unheard | Ended::Deadline | Ended::Told => Ok(Exit::Done),
        }
    }
}

type Outcomes = Result<Ended, SourceError>;

/// Runs the agent on a thread of its own; a signal tells it to end.
async fn until_it_ends(orders: Orders, stop: &AtomicBool) -> Result<Outcomes, Failure> {
    let mut signals = Signals::listen()?;
    let (tell, mut told) = oneshot::channel();
    let work = move || drop(tell.send(agent::serve(stdin(), stdout(), &orders)));
    std::thread::Builder::new().name("apisec-agent".into()).spawn(work).map_err(|error| {
        Failure::new(
            format!("no thread could be started: {error}"),
            "raise the limit of processes (ulimit -u)",
        )
    })?;
    loop {
        tokio::select! {
            ended = &mut told => {
                return ended.map_err(|_| Failure::new("the agent panicked", "please report it"));
            }
            () = signals.any() => stop.store(true, Ordering::Release),
        }
    }
}

/// SIGINT, SIGTERM, SIGHUP.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let ear = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(format!("signals cannot be received: {error}"), "ulimit -n"))
        };
        Ok(Self([ear(SignalKind::interrupt())?, ear(SignalKind::terminate())?, ear(SignalKind::hangup())?]))
    }

    fn any(&mut self) -> impl Future<Output = ()> {
        let [interrupt, terminate, hangup] = &mut self.0;
        async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
    }
}
