//! From parsed options to a running pipeline and what is done with it: the one place where they meet.

mod approvals;
mod folder;
mod kept;
mod origin;
mod outlets;
mod rules;
mod stored;

pub use origin::{Cluster, Node, Origin};
pub use stored::{print, snapshot, stored};

use crate::cli::{NAME, RunOptions};
use crate::exit::{Exit, Failure, Outcome};
use crate::gate::Gate;
use crate::headless::{self, Plan, Ready};
use crate::insistence::Insistence;
use crate::report::{self, Report, Shape};
use crate::run;
use crate::settings::Settings;
use crate::theme::Terminal as Environment;
use apisec_engine::baseline::{Norm, NormKey};
use apisec_engine::command::Command;
use apisec_engine::drift::Given;
use apisec_engine::filter::Filter;
use apisec_probe::clock;
use apisec_probe::cluster::hub;
use apisec_probe::cluster::names::Census;
use apisec_probe::enforce::Lifetime;
use apisec_probe::pipeline::{self, CallSink, Detection, Running};
use apisec_probe::policy::keeper::{self, Keeper};
use apisec_probe::policy::sentry::Sentry;
use apisec_probe::policy::{journal_path, wards};
use apisec_probe::record::{Recorder, SessionHeader};
use apisec_probe::source::Source;
use apisec_probe::spec::{self, Loaded, Watch};
use apisec_probe::store::docket::{Docket, Hand};
use apisec_probe::store::{Access, Store};
use approvals::Approvals;
use kept::Kept;
use origin::{Opened, Traffic};
use std::cell::OnceCell;
use std::io::{IsTerminal, stdout};
use std::path::Path;

/// Runs a session to its end.
///
/// # Errors
/// It cannot start or go on.
pub fn run(origin: &Origin, options: &RunOptions) -> Outcome {
    if let Origin::Files(paths) = origin
        && let [folder] = paths.as_slice()
        && folder.is_dir()
    {
        return folder::open(folder, options);
    }
    let mut settings = Settings::of(options)?;
    origin.hurry(&mut settings.detectors);
    let filter = options.filter.as_deref().map(filter).transpose()?;
    let report = headless_report(options);
    if let Origin::Nodes { .. } = origin {
        allowed_for_nodes(options, report)?;
    }
    let loaded = load(origin, &settings);
    let documents = match origin {
        Origin::Nodes { cluster: Some(cluster), .. } => cluster.documents.specs.clone(),
        _ => Vec::new(),
    };
    // A file, or the demo, is no part of this node's inventory, unless a folder is named for it.
    let keeps = matches!(origin, Origin::Live) || options.state.is_some();
    let live = matches!(origin, Origin::Live | Origin::Demo { .. });
    let access = match (settings.read_only, report.is_some()) {
        (true, _) => Access::Look,
        (false, true) => Access::Read,
        (false, false) => Access::Change,
    };
    let store = store(&settings, access)?;
    let Some(report) = report else {
        let mut opened = origin.open(None, settings.bodies())?;
        // The shop of a demo is closed after everything else.
        let _shop = opened.shop.take();
        return Session {
            options,
            settings,
            store,
            keeps,
            live,
            loaded,
            documents,
            watch: OnceCell::new(),
            approvals: OnceCell::new(),
        }
        .interactive(opened);
    };
    let ready = Ready::new()?;
    let mut opened = origin.open(Some(report), settings.bodies())?;
    let _shop = opened.shop.take();
    let plan = Plan {
        report,
        duration: options.duration.map(|span| span.0),
        filter,
        bounded: opened.bounded,
        gate: Gate::of(&options.fail_on),
    };
    let session = Session {
        options,
        settings,
        store,
        keeps,
        live,
        loaded,
        documents,
        watch: OnceCell::new(),
        approvals: OnceCell::new(),
    };
    ready.run(&plan, |on_call, live_view| session.start(opened, on_call, live_view))
}

/// What is decided before anything runs.
struct Session<'a> {
    options: &'a RunOptions,
    settings: Settings,
    store: Store,
    /// What it sees belongs into the inventory of the state folder.
    keeps: bool,
    /// It looks at this node, not at a file.
    live: bool,
    /// Specifications as read at the start.
    loaded: Loaded,
    /// Those among them that come with the origin and are not read again.
    documents: Vec<Given>,
    /// Reads them again when they change, as long as the session lasts.
    watch: OnceCell<Watch>,
    /// What is documented, with what the operator approves.
    approvals: OnceCell<Approvals>,
}

impl Session<'_> {
    fn start(&self, opened: Opened, on_call: Option<CallSink>, live_view: bool) -> Result<Running, Failure> {
        let recorder = match &opened.traffic {
            Traffic::Here(source, _) => self.options.record.as_deref().map(|path| record(path, &**source)),
            Traffic::There(..) => None,
        };
        let recorder = recorder.transpose()?;
        let mut degradations = opened.degradations;
        degradations.extend_from_slice(self.store.degradations());
        degradations.extend_from_slice(&self.loaded.degradations);
        degradations.extend(self.approvals().trouble());
        let Kept { history, norms, keeper, missing } = kept::open(&self.settings, self.keeps)?;
        degradations.extend(missing);
        let detection = self.detection(norms, keeper.is_some());
        let audit = self.audit(&mut degradations);
        let zombie_after = u64::try_from(self.settings.zombie_after.as_nanos()).unwrap_or(u64::MAX);
        let (source, identity) = match opened.traffic {
            Traffic::Here(source, identity) => (source, identity),
            Traffic::There(targets, names) => {
                let setup = pipeline::Setup {
                    source: opened.title,
                    limits: self.settings.bounds.engine,
                    rules: self.store.rules().to_vec(),
                    specs: self.approvals().all(),
                    zombie_after,
                    history,
                    keeper,
                    detection,
                    forwarder: self.forwarder()?,
                    exporter: self.exporter()?,
                    live_view,
                    audit,
                    degradations,
                };
                return self.follow(setup, targets, names);
            }
        };
        let config = pipeline::Config {
            source,
            identity,
            key: self.store.key(),
            rules: self.store.rules().to_vec(),
            specs: self.approvals().all(),
            zombie_after,
            history,
            keeper,
            detection,
            forwarder: self.forwarder()?,
            exporter: self.exporter()?,
            on_call,
            recorder,
            sample_bodies: self.settings.sample_bodies,
            live_view,
            // Nobody's work waits behind a file: it may have all that it needs.
            bounds: self.settings.bounds,
            cpu_share: if opened.bounded { f64::INFINITY } else { self.settings.cpu_share },
            audit,
            degradations,
        };
        let running = pipeline::start(config)?;
        self.watch_specifications(&running)?;
        Ok(running)
    }

    /// How findings are made, and what was said of earlier ones of this node.
    fn detection(&self, norms: Vec<(NormKey, Norm)>, observes: bool) -> Detection {
        let Settings { detectors, suppressions, naming, state, .. } = &self.settings;
        let folder = state.as_deref().filter(|_| self.keeps);
        let hand = match (self.store.is_kept(), observes) {
            (true, _) => Hand::Says,
            (false, true) => Hand::Observes,
            (false, false) => Hand::Off,
        };
        let docket = folder.map(|folder| Docket::open(folder, hand)).unwrap_or_default();
        Detection {
            settings: detectors.clone(),
            suppressions: suppressions.clone(),
            docket,
            norms,
            naming: naming.clone(),
        }
    }

    /// Who keeps policies; nobody where there is only a file.
    fn policies(&self, running: &Running, sentry: Option<Sentry>) -> Result<Option<Keeper>, Failure> {
        if !self.live {
            return Ok(None);
        }
        let keeper = Keeper::start(keeper::Config {
            journal: journal_path(self.settings.state.as_deref()),
            lifetime: if self.options.detach_on_exit { Lifetime::Process } else { Lifetime::Deadline },
            wards: wards::wards(),
            snapshots: running.subscribe(),
            commands: running.commands(),
            read_only: self.settings.read_only,
            respond: self.settings.respond.clone(),
            sentry,
        });
        keeper.map(Some).map_err(|error| no_thread(&error))
    }

    /// Merges what agents report.
    fn follow(
        &self,
        setup: pipeline::Setup,
        targets: Vec<hub::Target>,
        names: Option<Box<dyn Census>>,
    ) -> Result<Running, Failure> {
        let filter = self.options.filter.clone().unwrap_or_default();
        let plan = hub::Plan { targets, key: self.store.key(), program: program(), filter, names };
        let running = pipeline::merge(setup, "apisec-hub", move |feed| hub::run(plan, feed))?;
        self.watch_specifications(&running)?;
        Ok(running)
    }

    fn watch_specifications(&self, running: &Running) -> Result<(), Failure> {
        if self.settings.specs.is_empty() {
            return Ok(());
        }
        let commands = running.commands();
        // Commands that do not fit now are those of a key that is held down; the next change comes with all of them.
        let approvals = self.approvals();
        let own = self.documents.clone();
        let changed = move |loaded: Loaded| {
            let specs = loaded.specs.into_iter().chain(own.iter().cloned()).collect();
            drop(commands.try_send(Command::Specify(approvals.with(specs))));
        };
        let watch = spec::watch(self.settings.specs.clone(), &self.loaded, changed).map_err(|error| {
            Failure::new(
                format!("no thread could be started: {error}"),
                "raise the limit of processes (ulimit -u)",
            )
        })?;
        let _first = self.watch.set(watch);
        Ok(())
    }

    fn interactive(self, opened: Opened) -> Outcome {
        let mut looks = self.looks(&opened);
        let journal = journal_path(self.settings.state.as_deref());
        let starts = self.live && !self.settings.read_only;
        let sentry =
            starts.then(|| Sentry::start(&journal)).transpose().map_err(|error| no_thread(&error))?;
        let look = sentry.as_ref().map(Sentry::sink);
        let running = self.start(opened, look, true)?;
        let policies = self.policies(&running, sentry)?;
        if policies.is_some() {
            (looks.wards, looks.enforces) = (wards::wards(), true);
        }
        let curate = (!self.settings.read_only).then(|| {
            let commands = running.commands();
            // A command that does not fit is one of many within a blink; the next change comes with all of them.
            self.approvals().curate(self.store.is_kept(), move |command| drop(commands.try_send(command)))
        });
        let keeper = rules::keep(running.rules(), self.store)?;
        let commands = running.commands();
        // A command that does not fit is one of sixty-four within a blink: a key that is held down.
        let orders = policies.as_ref().and_then(Keeper::orders);
        let send = move |command| match (command, &orders) {
            // An order is carried out at once, and does not wait for the next second.
            (Command::Order(order), Some(orders)) => drop(orders.try_send(order)),
            (command, _) => drop(commands.try_send(command)),
        };
        (looks.curate, looks.peephole) = (curate, running.peephole());
        let shown = run::show(running.subscribe(), send, looks);
        // The terminal is the shell's again: Ctrl-C is how its user says that stopping takes too long.
        let _insistence = Insistence::listen()?;
        // What is in force stays: its deadline is the kernel's.
        drop(policies);
        let last = running.stop();
        keeper.end()?;
        shown.map_err(|error| Failure::new(format!("{error:#}"), "without a terminal: --headless"))?;
        headless::recorded(&*last?)?;
        Ok(Exit::Done)
    }

    /// The specifications that were given, with those that the operator approved, where they belong to this run.
    fn approvals(&self) -> Approvals {
        let folder = self.settings.state.as_deref().filter(|_| self.keeps);
        self.approvals.get_or_init(|| Approvals::new(folder, self.loaded.specs.clone())).clone()
    }

    fn looks(&self, opened: &Opened) -> run::Options {
        let Settings { theme, plain, ascii, read_only, keys, interval, bell, .. } = &self.settings;
        run::Options {
            title: opened.title.clone(),
            theme: theme.clone().unwrap_or_default(),
            keys: keys.clone(),
            read_only: *read_only,
            plain: *plain,
            ascii: *ascii,
            environment: environment(),
            filter: self.options.filter.clone().unwrap_or_default(),
            interval: *interval,
            bell: *bell,
            duration: self.options.duration.map(|span| span.0),
            ..run::Options::default()
        }
    }
}

fn no_thread(error: &std::io::Error) -> Failure {
    Failure::new(format!("no thread could be started: {error}"), "ulimit -u")
}

fn environment() -> Environment {
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    Environment { no_color: !text("NO_COLOR").is_empty(), colorterm: text("COLORTERM"), term: text("TERM") }
}

/// The format of a run that prints; `None` when it draws.
fn headless_report(options: &RunOptions) -> Option<&'static Report> {
    let gated = !options.fail_on.is_empty();
    let prints = gated || options.headless || options.output.is_some() || !stdout().is_terminal();
    let default = if gated { report::GATED } else { report::DEFAULT };
    prints.then(|| options.output.unwrap_or(default))
}

fn filter(text: &str) -> Result<Filter, Failure> {
    Filter::parse(text).map_err(|error| {
        let (before, at) = (error.at.min(text.len()), "^");
        Failure::usage(
            format!("the filter is not understood: {error}\n    {text}\n    {:before$}{at}", ""),
            "",
        )
    })
}

/// The specifications that were named, or those that come with the origin.
fn load(origin: &Origin, settings: &Settings) -> Loaded {
    if let Origin::Nodes { cluster, .. } = origin {
        let documents = cluster.as_ref().map(|cluster| cluster.documents.clone()).unwrap_or_default();
        let mut loaded = spec::load(&settings.specs);
        loaded.specs.extend(documents.specs);
        loaded.degradations.extend(documents.degradations);
        return loaded;
    }
    if settings.specs.is_empty() {
        return Loaded { specs: origin.specs(), ..Loaded::default() };
    }
    spec::load(&settings.specs)
}

fn store(settings: &Settings, access: Access) -> Result<Store, Failure> {
    let store = match &settings.state {
        Some(folder) => Store::open(folder, access),
        None => Store::in_memory(),
    };
    store.map_err(|error| {
        Failure::new(format!("the system gives no random bytes: {error}"), "look at /dev/urandom")
    })
}

/// Agents send what they counted and samples, not every call.
fn allowed_for_nodes(options: &RunOptions, report: Option<&'static Report>) -> Result<(), Failure> {
    let per_call = report.is_some_and(|report| matches!(report.shape, Shape::PerCall(_)));
    if options.record.is_some() || per_call {
        return Err(Failure::usage(
            "every single call is known on its node only: agents send what they counted, and samples",
            "record on the node itself: sudo apisec-top --record FILE, or --output ndjson",
        ));
    }
    Ok(())
}

/// Name and version, as others see them.
pub fn program() -> String {
    format!("{NAME} {}", env!("CARGO_PKG_VERSION"))
}

fn record(path: &Path, source: &dyn Source) -> Result<Recorder, Failure> {
    let header = SessionHeader { program: program(), source: source.describe(), started: clock::now() };
    Recorder::create(path, &header, false).map_err(|error| Failure::new(error.what, error.remedy))
}
