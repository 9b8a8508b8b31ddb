//! The end on the node: captures, counts, reports over a pair of streams, and leaves by itself.
//!
//! Nothing is attached before somebody has said how to watch. It ends, and everything that it put into the kernel with
//! it, when its input is closed, when nobody is heard for a while (a laptop asleep), when its time is over, when it is
//! told to by either side, or when it is killed: links live in the process.

use super::frames::{Broken, Hearing, Speech, greeting};
use super::message::{Ask, Echo, INTERVALS, MAX_ADDRESSES, Manner, Node, Say, Wish};
use super::outbox::{Outbox, Tail};
use crate::clock;
use crate::identity::{self, LocalIdentity};
use crate::pipeline::{self, Bounds, CallSink, Config, Detection, Observing, Pace, Report, Update};
use crate::reach::Reach;
use crate::source::live::Live;
use crate::source::session::frame::Unpacker;
use crate::source::{Source, SourceError};
use crate::{
    attach::{Bodies, Own},
    identity::Identity,
};
use apisec_engine::filter::Filter;
use apisec_engine::knowledge::ZOMBIE_AFTER;
use apisec_proto::call::{Call, Vantage};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never, tick};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the first word of whoever watches is waited for.
const FIRST_WORD: Duration = Duration::from_secs(30);
/// How often it is looked whether it is time to end.
const LOOK: Duration = Duration::from_millis(100);
/// Nobody can ask an agent to wait for longer than this without a sign of life...
const MOST_PATIENCE: Duration = Duration::from_secs(120);
/// ...nor make it end between two beats.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);
/// Frames that wait to be written: those of a window in parts, and beats.
const MAX_FRAMES: usize = 64;
/// Bytes of one read.
const READ: usize = 64 << 10;
/// How long the last frames may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Places that wait to be told, and that are known to be told.
const MAX_PLACES: usize = 8_192;

/// What an agent is made of.
pub struct Orders {
    /// Program and version, as the other end shall see them.
    pub program: String,
    /// End after this long.
    pub deadline: Option<Duration>,
    /// Share of one core above which work is shed.
    pub cpu_share: f64,
    /// Becomes true when the agent shall end: a signal.
    pub stop: Arc<AtomicBool>,
    /// Where traffic comes from.
    pub origin: Box<dyn Origin>,
}

/// A source, and names for it.
pub type Traffic = (Box<dyn Source>, Box<dyn Identity>);

/// Opens a source when somebody wants to watch.
pub trait Origin: Send {
    /// The source, and names for it.
    ///
    /// # Errors
    /// It cannot be opened, with what to do.
    fn open(&self) -> Result<Traffic, SourceError>;
}

impl Origin for Reach {
    fn open(&self) -> Result<Traffic, SourceError> {
        let source = Live::within(self, Own::Excluded, Bodies::Heads, identity::seed)?;
        Ok((Box::new(source), Box::new(LocalIdentity::within(self.clone())?)))
    }
}

/// Why an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Whoever watched said so.
    Asked,
    /// Its input was closed.
    Closed,
    /// Nobody was heard.
    Unheard,
    /// Its time was over.
    Deadline,
    /// A signal.
    Told,
    /// The other end does not go together with this one.
    Misunderstood(String),
}

impl Ended {
    fn why(&self) -> String {
        match self {
            Self::Asked => "it was told to".into(),
            Self::Closed => "its input was closed".into(),
            Self::Unheard => "it heard nothing for too long".into(),
            Self::Deadline => "its time was over".into(),
            Self::Told => "a signal ended it".into(),
            Self::Misunderstood(why) => why.clone(),
        }
    }
}

/// Runs an agent to its end. Detached when it returns.
///
/// # Errors
/// It cannot capture; whoever watches has been told.
pub fn serve(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    orders: &Orders,
) -> Result<Ended, SourceError> {
    let began = Instant::now();
    let asks = listen(input)?;
    let mut mouth = Mouth::open(output, &orders.program)?;
    let wish = match first_word(&asks, orders) {
        Ok(wish) => wish,
        Err(ended) => {
            mouth.farewell(&ended);
            return Ok(ended);
        }
    };
    let heard = clock::now();
    let (places, placed) = bounded(MAX_PLACES);
    let pace = Pace::default();
    let observing = match observe(orders, &wish, places, pace.clone()) {
        Ok(observing) => observing,
        Err(error) => {
            mouth.say(&Say::Refused { what: error.what.clone(), remedy: error.remedy.clone() });
            mouth.close();
            return Err(error);
        }
    };
    let echo = Echo { asked: wish.at, heard, answered: clock::now() };
    mouth.say(&Say::Watching(introduce(echo)));
    let patience = Duration::from_secs(wish.patience_s.into()).clamp(LEAST_PATIENCE, MOST_PATIENCE);
    let mut agent = Agent {
        observing,
        mouth,
        outbox: Outbox::default(),
        tail: Tail::default(),
        places: placed,
        pace,
        heard: Instant::now(),
        reported: Instant::now(),
        patience,
        until: orders.deadline.map(|deadline| began + deadline),
        stop: orders.stop.clone(),
    };
    agent.change(wish.manner);
    let ended = agent.run(&asks);
    agent.leave(ended)
}

fn first_word(asks: &Receiver<Heard>, orders: &Orders) -> Result<Box<Wish>, Ended> {
    let until = Instant::now() + FIRST_WORD;
    loop {
        match asks.recv_timeout(LOOK) {
            Ok(Heard::Ask(Ask::Watch(wish))) => return Ok(Box::new(wish)),
            Ok(Heard::Ask(Ask::End)) => return Err(Ended::Asked),
            Ok(Heard::Ask(_)) => {}
            Ok(Heard::Broken(broken)) => return Err(Ended::Misunderstood(broken.to_string())),
            Err(RecvTimeoutError::Disconnected) => return Err(Ended::Closed),
            Err(RecvTimeoutError::Timeout) if orders.stop.load(Ordering::Acquire) => return Err(Ended::Told),
            Err(RecvTimeoutError::Timeout) if Instant::now() > until => return Err(Ended::Unheard),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn observe(
    orders: &Orders,
    wish: &Wish,
    places: Sender<Place>,
    pace: Pace,
) -> Result<Observing, SourceError> {
    let (source, identity) = orders.origin.open()?;
    let config = Config {
        source,
        identity,
        key: wish.key,
        rules: wish.manner.rules.clone(),
        specs: Vec::new(),
        zombie_after: ZOMBIE_AFTER,
        history: Vec::new(),
        keeper: None,
        detection: Detection::default(),
        forwarder: None,
        exporter: None,
        on_call: Some(note_places(places)),
        recorder: None,
        live_view: false,
        sample_bodies: 0,
        cpu_share: orders.cpu_share,
        bounds: Bounds::default(),
        audit: None,
        degradations: Vec::new(),
    };
    pipeline::observe(config, pace)
}

/// Where a workload of this node answered.
type Place = (SocketAddr, String);

/// Notes the addresses at which this node's servers answered, each once and again when it is somebody else's.
fn note_places(places: Sender<Place>) -> CallSink {
    let mut told: HashMap<SocketAddr, u32> = HashMap::new();
    Box::new(move |call: &Call, _, _| {
        let (address, number) = (call.dst_addr, call.dst.number);
        if call.vantage != Vantage::Server || told.get(&address) == Some(&number) {
            return;
        }
        if told.len() >= MAX_PLACES {
            told.clear();
        }
        if places.try_send((address, call.dst.workload.id.to_string())).is_ok() {
            told.insert(address, number);
        }
    })
}

fn introduce(echo: Echo) -> Node {
    let mut run = [0; 8];
    let _short = rustix::rand::getrandom(&mut run, rustix::rand::GetRandomFlags::empty());
    let mut addresses = identity::own_addresses();
    addresses.truncate(MAX_ADDRESSES);
    Node {
        run: u64::from_le_bytes(run),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        addresses,
        capabilities: Vec::new(),
        echo,
    }
}

struct Agent {
    observing: Observing,
    mouth: Mouth,
    outbox: Outbox,
    tail: Tail,
    places: Receiver<Place>,
    pace: Pace,
    heard: Instant,
    /// When a report went, or had to wait for the first or another interval.
    reported: Instant,
    patience: Duration,
    until: Option<Instant>,
    stop: Arc<AtomicBool>,
}

impl Agent {
    fn run(&mut self, asks: &Receiver<Heard>) -> Ended {
        let look = tick(LOOK);
        let nothing = never();
        loop {
            // Without room the pipeline adds up.
            let updates =
                if self.outbox.has_room() { self.observing.updates.clone() } else { nothing.clone() };
            crossbeam_channel::select! {
                recv(asks) -> heard => match heard {
                    Ok(Heard::Ask(ask)) => {
                        if let Some(ended) = self.hear(ask) {
                            return ended;
                        }
                    }
                    Ok(Heard::Broken(broken)) => return Ended::Misunderstood(broken.to_string()),
                    Err(_) => return Ended::Closed,
                },
                recv(updates) -> update => match update {
                    Ok(Update::Delta(report) | Update::End(report)) => self.report(*report),
                    Err(_) => return Ended::Told,
                },
                recv(look) -> _ => if let Some(ended) = self.look() {
                    return ended;
                },
            }
        }
    }

    fn look(&mut self) -> Option<Ended> {
        if !self.outbox.has_room() && self.reported.elapsed() > Duration::from_nanos(self.pace.get()) {
            self.outbox.waited();
            self.reported = Instant::now();
        }
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        if self.stop.load(Ordering::Acquire) {
            Some(Ended::Told)
        } else if over {
            Some(Ended::Deadline)
        } else {
            (self.heard.elapsed() > self.patience).then_some(Ended::Unheard)
        }
    }

    fn hear(&mut self, ask: Ask) -> Option<Ended> {
        self.heard = Instant::now();
        match ask {
            Ask::End => return Some(Ended::Asked),
            Ask::Beat { at } => {
                let now = clock::now();
                self.mouth.say(&Say::Beat(Echo { asked: at, heard: now, answered: now }));
            }
            Ask::Taken { number } => self.outbox.taken(number),
            Ask::Change(manner) => self.change(manner),
            Ask::Watch(wish) => self.change(wish.manner),
        }
        None
    }

    fn change(&mut self, manner: Manner) {
        let interval = manner.interval_s.clamp(*INTERVALS.start(), *INTERVALS.end());
        self.pace.set(u64::from(interval) * 1_000_000_000);
        self.tail = Tail {
            samples: manner.samples as usize,
            // A filter that is not understood hides nothing.
            filter: Some(manner.filter)
                .filter(|text| !text.is_empty())
                .and_then(|text| Filter::parse(&text).ok().map(|filter| filter.on_a_node())),
        };
        self.observing.follow(manner.rules);
    }

    fn report(&mut self, report: Report) {
        let Report { deltas, capture, .. } = report;
        let mut places = Vec::new();
        while places.len() < MAX_ADDRESSES
            && let Ok(place) = self.places.try_recv()
        {
            places.push(place);
        }
        let mut whole = apisec_engine::delta::Delta::default();
        let mut deltas = deltas.into_iter();
        if let Some(first) = deltas.next() {
            whole = first;
        }
        deltas.for_each(|delta| whole.merge(delta));
        let parts = self.outbox.put(whole, capture, places, &self.tail);
        parts.into_iter().for_each(|part| self.mouth.say(&Say::Report(part)));
        self.reported = Instant::now();
    }

    /// Detaches, tells the rest, says why.
    fn leave(mut self, ended: Ended) -> Result<Ended, SourceError> {
        self.observing.stop();
        let until = Instant::now() + FAREWELL;
        while let Ok(update) = self.observing.updates.recv_deadline(until) {
            match update {
                Update::Delta(report) => self.report(*report),
                Update::End(report) => {
                    self.report(*report);
                    break;
                }
            }
        }
        let captured = self.observing.join();
        match &captured {
            Ok(()) => self.mouth.say(&Say::Ended { why: ended.why() }),
            Err(error) => {
                self.mouth.say(&Say::Refused { what: error.what.clone(), remedy: error.remedy.clone() });
            }
        }
        self.mouth.close();
        captured.map(|()| ended)
    }
}

/// What was read.
enum Heard {
    Ask(Ask),
    Broken(Broken),
}

/// Reads on a thread of its own: nothing else waits for the other end.
fn listen(mut input: impl Read + Send + 'static) -> Result<Receiver<Heard>, SourceError> {
    let (told, asks) = bounded(16);
    let mut unpacker = Unpacker::new().map_err(|error| no_memory(&error))?;
    spawn("apisec-listen", move || {
        let (mut hearing, mut raw, mut bytes) = (Hearing::default(), Vec::new(), vec![0; READ]);
        loop {
            let read = match input.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => return,
                Ok(read) => read,
            };
            hearing.push(bytes.get(..read).unwrap_or_default());
            loop {
                let heard = match hearing.next(&mut unpacker, &mut raw) {
                    Ok(Some(ask)) => Heard::Ask(ask),
                    Ok(None) => break,
                    Err(broken) => Heard::Broken(broken),
                };
                let last = matches!(heard, Heard::Broken(_));
                if told.send(heard).is_err() || last {
                    return;
                }
            }
        }
    })?;
    Ok(asks)
}

/// Writes on a thread of its own: an end that does not read must not keep us from noticing that it is gone.
struct Mouth {
    speech: Speech,
    frames: Option<Sender<Vec<u8>>>,
    done: Receiver<()>,
}

impl Mouth {
    fn open(mut output: impl Write + Send + 'static, program: &str) -> Result<Self, SourceError> {
        let (frames, wanted) = bounded::<Vec<u8>>(MAX_FRAMES);
        let (over, done) = bounded::<()>(0);
        let first = greeting(program).into_bytes();
        spawn("apisec-say", move || {
            let _over = over;
            let mut next = Some(first);
            while let Some(frame) = next {
                if output.write_all(&frame).and_then(|()| output.flush()).is_err() {
                    return;
                }
                next = wanted.recv().ok();
            }
        })?;
        Ok(Self { speech: Speech::new().map_err(|error| no_memory(&error))?, frames: Some(frames), done })
    }

    /// Says it, unless so much is unsaid that nobody is listening.
    fn say(&mut self, word: &Say) {
        let Ok(frame) = self.speech.say(word) else { return };
        if let Some(frames) = &self.frames {
            let _nobody_listens = frames.try_send(frame.to_vec());
        }
    }

    fn farewell(mut self, ended: &Ended) {
        self.say(&Say::Ended { why: ended.why() });
        self.close();
    }

    /// Lets the last words be heard, within reason.
    fn close(&mut self) {
        self.frames = None;
        let _said = self.done.recv_timeout(FAREWELL);
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), SourceError> {
    let started = std::thread::Builder::new().name(name.into()).spawn(body);
    started.map(drop).map_err(|error| SourceError {
        what: format!("no thread could be started: {error}"),
        remedy: "raise the limit of processes (ulimit -u)".into(),
    })
}

fn no_memory(error: &io::Error) -> SourceError {
    SourceError { what: format!("there is no memory: {error}"), remedy: "free some".into() }
}
