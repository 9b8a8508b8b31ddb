//! The run loop: the only place of the terminal that reads keys, hears signals, watches snapshots and draws.

mod bell;
mod editor;
mod input;
mod terminal;

use crate::action::{Action, Effect};
use crate::app::{App, Setup};
use crate::event::Event;
use crate::export::{self, EXPORTS};
use crate::frame;
use crate::keymap::Keymap;
use crate::theme::{Depth, Terminal as Environment, Theme};
use crate::view::endpoint_key;
use anyhow::Context as _;
use apisec_engine::command::Command;
use apisec_engine::finding::Severity;
use apisec_engine::policy::Policy;
use apisec_engine::policy::guard::Ward;
use apisec_engine::snapshot::{EndpointView, Snapshot};
use apisec_probe::pipeline::{Peephole, Running};
use bell::Bell;
use input::{Line, Reader};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use terminal::Screen;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// Least time between two pictures: ten a second.
const FRAME: Duration = Duration::from_millis(100);

/// What shall become of the specifications.
#[derive(Clone, Copy)]
pub enum Wish<'a> {
    /// Add this endpoint to the working specification of its service, which is called so.
    Approve(&'a EndpointView, &'a str),
    /// Take the newest approval back.
    Undo,
    /// The specification of a file describes a service, or does not.
    Bind {
        /// That file.
        file: &'a str,
        /// Workload id of the service.
        service: &'a str,
        /// It does.
        describes: bool,
    },
}

/// Changes the specifications; what to say about it.
pub type Curate = Box<dyn FnMut(Wish<'_>) -> String>;

/// Keeps a command that was sent.
pub type Keep = Box<dyn FnMut(&Command)>;

/// What the operator decided before the terminal starts.
#[derive(Default)]
pub struct Options {
    /// `LIVE`, or `REPLAY` with what is replayed.
    pub title: String,
    /// Name of a built-in theme, or path of a theme file; empty for the default.
    pub theme: String,
    /// The operator's keys: contexts, in them actions with their keys.
    pub keys: BTreeMap<String, toml::Value>,
    /// Nothing may be changed.
    pub read_only: bool,
    /// Linear text for screen readers.
    pub plain: bool,
    /// ASCII shapes only.
    pub ascii: bool,
    /// What must not be cut by accident.
    pub wards: Vec<Ward>,
    /// Policies can be put into force.
    pub enforces: bool,
    /// What the environment says about the terminal.
    pub environment: Environment,
    /// What is shown at first; a valid filter.
    pub filter: String,
    /// Shortest time between two pictures, if longer than ours.
    pub interval: Duration,
    /// Severity from which on a new finding rings the bell; without it nothing rings.
    pub bell: Option<Severity>,
    /// Leave after this long.
    pub duration: Option<Duration>,
    /// Called with each command after it was sent, so that the state folder can keep it.
    pub on_command: Option<Keep>,
    /// Changes the specifications; without it they stay as they are.
    pub curate: Option<Curate>,
    /// Where an identity can be seen.
    pub peephole: Peephole,
}

/// Shows `running` until the operator leaves or a signal ends it.
///
/// # Errors
/// The terminal cannot be used, with whose fault it is.
pub fn run(running: Running, mut options: Options) -> anyhow::Result<()> {
    let snapshots = running.subscribe();
    let mut keep = options.on_command.take();
    let send = |command: Command| {
        if let Some(keep) = &mut keep {
            keep(&command);
        }
        running.send(command);
    };
    let shown = show(snapshots, send, options);
    // Only now: dropping it detaches from the kernel.
    drop(running);
    shown
}

/// As [`run`], over any stream of snapshots and any taker of commands.
///
/// # Errors
/// The terminal cannot be used, with whose fault it is.
pub fn show(
    snapshots: watch::Receiver<Arc<Snapshot>>,
    send: impl FnMut(Command),
    options: Options,
) -> anyhow::Result<()> {
    let line = Line::open().context("there is no terminal to read keys from; without one, use --headless")?;
    let shown = draw_and_listen(snapshots, send, options, line.clone());
    // Nobody is there to be told of a terminal that is gone.
    if line.is_dead(Duration::ZERO) { Ok(()) } else { shown }
}

fn draw_and_listen(
    snapshots: watch::Receiver<Arc<Snapshot>>,
    send: impl FnMut(Command),
    mut options: Options,
    line: Line,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    // Before the terminal is taken over: whatever ends us from then on gives it back.
    let signals = Signals::listen()?;
    let screen = Screen::open().context("the terminal cannot be used; without one, use --headless")?;
    let curate = options.curate.take();
    let peephole = options.peephole.clone();
    let frame = options.interval.max(FRAME);
    let bell = Bell::new(options.bell);
    let over = options.duration.map(|duration| Instant::now() + duration);
    let app = prepare(options, screen.size()?);
    let tail = app.filter().text().to_owned();
    runtime.block_on(
        Loop { app, screen, bell, send, curate, peephole, snapshots, line, tail, frame, over }.run(signals),
    )
}

/// The state before the first event. What was not understood is the first message.
fn prepare(options: Options, size: (u16, u16)) -> App {
    let (keymap, mut warnings) = Keymap::load(&options.keys);
    let depth = if options.plain { Depth::None } else { options.environment.depth() };
    let (theme, more) = choose(&options.theme, depth.forces());
    warnings.extend(more);
    let setup = Setup {
        title: options.title,
        keymap,
        read_only: options.read_only,
        plain: options.plain,
        ascii: options.ascii,
        wards: options.wards,
        enforces: options.enforces,
    };
    let mut app = App::new(setup, theme.reduced(depth), depth.forces().is_some(), size);
    if !options.filter.is_empty() {
        app.update(Action::SetFilter(options.filter));
    }
    if let Some(first) = warnings.first() {
        let more = warnings.len() - 1;
        let rest = if more > 0 { format!(" ({more} more)") } else { String::new() };
        app.say(format!("{first}{rest}"));
    }
    app
}

/// The theme that was asked for, unless the terminal cannot show it.
fn choose(wanted: &str, forced: Option<&str>) -> (Theme, Vec<String>) {
    let wanted = if wanted.is_empty() { "dark" } else { wanted };
    // `mono` and `ansi16` need no more than any terminal has.
    let name = forced.filter(|forced| !(wanted == "mono" || wanted == *forced)).unwrap_or(wanted);
    if let Some(theme) = Theme::named(name) {
        return (theme, Vec::new());
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Theme::parse(Path::new(name).file_stem().and_then(|s| s.to_str()).unwrap_or(name), &text),
        Err(error) => (Theme::parse("dark", "inherits = \"dark\"").0, vec![format!("theme {name}: {error}")]),
    }
}

struct Loop<S> {
    app: App,
    screen: Screen,
    bell: Bell,
    send: S,
    curate: Option<Curate>,
    peephole: Peephole,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    line: Line,
    /// The filter that is known elsewhere.
    tail: String,
    /// Shortest time between two pictures.
    frame: Duration,
    /// When to leave.
    over: Option<Instant>,
}

/// How the loop goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Leave,
    /// The operator edits a policy first.
    Edit(u32, Box<Policy>),
}

/// Signals that end the terminal in good order.
struct Signals {
    term: Signal,
    hangup: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Keys that interrupted somebody else are not for us.
    async fn forget_interrupts(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            () = std::future::ready(()) => {}
        }
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl<S: FnMut(Command)> Loop<S> {
    async fn run(mut self, mut signals: Signals) -> anyhow::Result<()> {
        let (mut reader, mut events) = Reader::start(self.line.clone())?;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let newest = Arc::clone(&self.snapshots.borrow_and_update());
        self.app.handle(Event::Snapshot(newest));
        let mut watching = true;
        let mut due = Some(Instant::now());
        let mut last = Instant::now() - self.frame;
        loop {
            let draw_at = due.unwrap_or_else(Instant::now);
            let over_at = self.over.unwrap_or_else(Instant::now);
            let event = tokio::select! {
                biased;
                () = signals.any() => return Ok(()),
                () = tokio::time::sleep_until(over_at), if self.over.is_some() => return Ok(()),
                () = tokio::time::sleep_until(draw_at), if due.is_some() => {
                    self.draw()?;
                    (due, last) = (None, Instant::now());
                    continue;
                }
                event = events.recv() => match event {
                    Some(event) => event,
                    None => return Ok(()),
                },
                changed = self.snapshots.changed(), if watching => {
                    watching = changed.is_ok();
                    let newest = Arc::clone(&self.snapshots.borrow_and_update());
                    if watching { Event::Snapshot(newest) } else { Event::Ended }
                }
                _ = seconds.tick() => {
                    // Asked here too, because the reader may be caught in a library that reads the end for ever.
                    if self.line.is_dead(Duration::ZERO) {
                        return Ok(());
                    }
                    Event::Second
                }
            };
            if let Event::Snapshot(newest) = &event
                && self.bell.rings(newest)
            {
                self.screen.ring()?;
            }
            let (changed, effects) = self.app.handle(event);
            if self.look() || changed {
                due = Some(last + self.frame);
            }
            self.follow_filter();
            match self.apply(effects)? {
                Flow::On => {}
                Flow::Leave => return Ok(()),
                Flow::Edit(id, policy) => {
                    // What is typed from now on is the editor's.
                    reader.end();
                    self.edit(id, &policy)?;
                    signals.forget_interrupts().await;
                    (reader, events) = Reader::start(self.line.clone())?;
                    due = Some(Instant::now());
                }
            }
        }
    }

    /// Takes what there is to see while a dialog looks; nothing waits for the next one. Whether something was seen.
    fn look(&mut self) -> bool {
        if !self.app.looks() {
            self.peephole.close();
            return false;
        }
        let sight = self.peephole.take();
        let seen = sight.is_some();
        sight.into_iter().for_each(|sight| self.app.see(sight));
        seen
    }

    /// Other nodes send only the calls that can pass; that changes the picture and nothing else.
    fn follow_filter(&mut self) {
        let filter = self.app.filter().text();
        if filter != self.tail {
            filter.clone_into(&mut self.tail);
            (self.send)(Command::Tail(self.tail.clone()));
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let app = &self.app;
        let report = self.screen.draw(|buffer| frame::draw(app, buffer))?;
        self.app.drawn(report);
        Ok(())
    }

    /// Has a policy edited; its preview follows.
    fn edit(&mut self, id: u32, policy: &Policy) -> anyhow::Result<()> {
        let edited = self.screen.away(|| editor::edit(policy))?;
        match edited {
            Ok(Some(changed)) => {
                // A preview does nothing by itself.
                let _none = self.app.update(Action::Preview(Box::new(changed), Some(id)));
            }
            Ok(None) => self.app.say("nothing was changed".to_owned()),
            Err(why) => self.app.say(crate::widget::escape::escape(&why).into_owned()),
        }
        Ok(())
    }

    /// Changes the specifications, and says what came of it.
    fn curate(&mut self, wish: Wish<'_>) {
        if let Some(curate) = &mut self.curate {
            let said = curate(wish);
            self.app.say(crate::widget::escape::escape(&said).into_owned());
        }
    }

    /// Adds the endpoint with this key to the working specification.
    fn approve(&mut self, key: &str) {
        let world = self.app.world();
        let Some(own) = world.snapshot.endpoints.iter().find(|own| endpoint_key(own) == key) else {
            return self.app.say("it is gone".to_owned());
        };
        let (own, name) = (own.clone(), world.labels.get(&own.service));
        self.curate(Wish::Approve(&own, &name));
    }

    /// Writes what is on screen into a file of the current folder, and says which.
    fn export(&mut self, export: usize, format: usize) {
        let Some(export) = EXPORTS.get(export) else { return };
        let Some(format) = export.formats.get(format) else { return };
        let world = self.app.world();
        let shown = world.filter.snapshot(world.snapshot);
        let said = match export::write(export, format, &shown, Path::new(".")) {
            Ok(files) if files.is_empty() => "there is nothing to write".to_owned(),
            Ok(files) => {
                let names: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
                format!("wrote {}", names.join(" "))
            }
            Err(error) => format!("nothing was written here: {error}"),
        };
        self.app.say(said);
    }

    fn apply(&mut self, effects: Vec<Effect>) -> anyhow::Result<Flow> {
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(Flow::Leave),
                Effect::Edit(id, policy) => return Ok(Flow::Edit(id, policy)),
                Effect::Send(command) => (self.send)(command),
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Suspend => self.screen.suspend()?,
                Effect::Approve(key) => self.approve(&key),
                Effect::UndoApproval => self.curate(Wish::Undo),
                Effect::Bind { file, service, describes } => {
                    self.curate(Wish::Bind { file: &file, service: &service, describes });
                }
                Effect::Export(export, format) => self.export(export, format),
            }
        }
        Ok(Flow::On)
    }
}
