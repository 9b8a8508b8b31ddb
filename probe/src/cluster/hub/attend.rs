//! One node's task: connect, greet, listen, beat; and again, a little later each time, when the way breaks.

use super::Events;
use crate::clock;
use crate::cluster::frames::{Broken, Hearing, Speech, greeting};
use crate::cluster::link::{Incoming, Line, Link, Outgoing};
use crate::cluster::message::{Ask, Echo, Manner, Node, Report, Say, Wish};
use crate::source::session::frame::Unpacker;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// How long an agent may take from the first byte to its introduction: attaching takes some seconds on a slow node.
const INTRODUCTION: Duration = Duration::from_secs(60);
/// How often a sign of life is given and asked for.
const BEAT: Duration = Duration::from_secs(2);
/// A node that says nothing for so long is lost.
const SILENCE: Duration = Duration::from_secs(15);
/// A write that takes longer is one to nobody.
const WRITE: Duration = Duration::from_secs(10);
/// First and longest pause before it is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A way that held for so long was good: the next pause is short again.
const GOOD: Duration = Duration::from_secs(30);
/// Bytes of one read.
const READ: usize = 16 << 10;

/// What is heard of a node.
pub(super) enum Event {
    /// Its agent watches.
    Watching {
        /// Program and version.
        program: String,
        /// What it says of itself.
        node: Node,
    },
    /// It observed something.
    Report {
        /// What.
        report: Report,
        /// Bytes that came since the last report.
        bytes: u64,
    },
    /// It answered a beat, so long ago.
    Beat(Echo, u64),
    /// It is not heard any more, and looked for.
    Lost(String),
    /// It cannot be watched.
    Refused(String),
    /// It has ended by itself.
    Ended(String),
}

/// What a task is told.
pub(super) enum Order {
    /// To pass on.
    Ask(Ask),
}

/// What all tasks share. One thread: borrowed between awaits only.
pub(super) struct Shared {
    pub(super) unpacker: Unpacker,
    pub(super) raw: Vec<u8>,
    pub(super) program: String,
    pub(super) key: [u8; 32],
    pub(super) manner: Manner,
}

pub(super) struct Attendant {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) link: Arc<dyn Link>,
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) events: Events,
    pub(super) orders: mpsc::Receiver<Order>,
}

/// Why a conversation was over.
enum Over {
    /// Try again.
    Lost(String),
    /// Do not.
    Refused(String),
    /// It ended by itself; do not try again.
    Ended(String),
    /// We said so.
    Done,
}

impl Attendant {
    pub(super) async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let began = Instant::now();
            let over = match self.link.clone().open().await {
                Ok(line) => self.converse(line).await,
                Err(why) => Over::Lost(why),
            };
            let event = match over {
                Over::Lost(why) => Event::Lost(why),
                Over::Refused(why) => {
                    self.tell(Event::Refused(why)).await;
                    return;
                }
                Over::Ended(why) => {
                    self.tell(Event::Ended(why)).await;
                    return;
                }
                Over::Done => return,
            };
            self.tell(event).await;
            if began.elapsed() > GOOD {
                pause = PAUSES.0;
            }
            if self.ended_while_waiting(pause).await {
                return;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Waits; true when there is nobody to wait for.
    async fn ended_while_waiting(&mut self, pause: Duration) -> bool {
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return false,
                order = self.orders.recv() => match order {
                    None | Some(Order::Ask(Ask::End)) => return true,
                    // Meant for a conversation that is over; the next one begins with the manner of then.
                    Some(Order::Ask(_)) => {}
                },
            }
        }
    }

    async fn tell(&self, event: Event) {
        let _nobody = self.events.send((self.index, event)).await;
    }

    async fn converse(&mut self, line: Line) -> Over {
        let Line { incoming, outgoing, keeper } = line;
        let (mut ear, mut mouth) = (Ear::new(incoming), Mouth(outgoing));
        let over = match self.greet(&mut mouth).await {
            Ok(mut speech) => self.listen(&mut ear, &mut mouth, &mut speech).await,
            Err(why) => Over::Lost(why),
        };
        drop((ear, mouth));
        let complaint = keeper.close().await;
        match over {
            Over::Lost(why) if !complaint.is_empty() => Over::Lost(format!("{why}: {complaint}")),
            over => over,
        }
    }

    async fn greet(&self, mouth: &mut Mouth) -> Result<Speech, String> {
        let mut speech = Speech::new().map_err(|error| format!("there is no memory: {error}"))?;
        let (line, wish) = {
            let shared = self.shared.borrow();
            let wish = Wish {
                at: clock::now(),
                node: self.name.clone(),
                key: shared.key,
                patience_s: SILENCE.as_secs() as u32,
                manner: shared.manner.clone(),
            };
            (greeting(&shared.program), wish)
        };
        mouth.write(line.as_bytes()).await?;
        mouth.say(&mut speech, &Ask::Watch(wish)).await?;
        Ok(speech)
    }

    async fn listen(&mut self, ear: &mut Ear, mouth: &mut Mouth, speech: &mut Speech) -> Over {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut watching, mut ending) = (Instant::now(), false, false);
        loop {
            tokio::select! {
                read = ear.read() => {
                    match read {
                        Ok(true) => heard = Instant::now(),
                        Ok(false) if ending => return Over::Done,
                        Ok(false) if ear.hearing.program().is_none() => return Over::Lost(ear.hearing.stranger().to_string()),
                        Ok(false) => return Over::Lost("its agent is gone".into()),
                        Err(why) => return Over::Lost(why),
                    }
                    loop {
                        let said = {
                            let shared = &mut *self.shared.borrow_mut();
                            ear.hearing.next(&mut shared.unpacker, &mut shared.raw)
                        };
                        match said {
                            Ok(None) => break,
                            Ok(Some(say)) => {
                                watching |= matches!(say, Say::Watching(_));
                                if let Some(over) = self.hear(say, ear).await {
                                    return if ending { Over::Done } else { over };
                                }
                            }
                            Err(broken) => return broken.into(),
                        }
                    }
                }
                order = self.orders.recv() => {
                    let Some(Order::Ask(ask)) = order else { return Over::Done };
                    ending |= matches!(ask, Ask::End);
                    if let Err(why) = mouth.say(speech, &ask).await {
                        return if ending { Over::Done } else { Over::Lost(why) };
                    }
                }
                _ = beat.tick() => {
                    let patience = if watching { SILENCE } else { INTRODUCTION };
                    if heard.elapsed() > patience {
                        return Over::Lost(format!("nothing was heard for {} s", patience.as_secs()));
                    }
                    if let Err(why) = mouth.say(speech, &Ask::Beat { at: clock::now() }).await {
                        return Over::Lost(why);
                    }
                }
            }
        }
    }

    /// What was said; and when that was the last word, how it is over.
    async fn hear(&mut self, say: Say, ear: &mut Ear) -> Option<Over> {
        let event = match say {
            Say::Watching(node) => {
                let program = ear.hearing.program().unwrap_or_default().to_owned();
                Event::Watching { program, node }
            }
            Say::Report(report) => {
                // It came from the wire a moment ago: nobody else has it.
                let report = Arc::into_inner(report)?;
                Event::Report { report, bytes: std::mem::take(&mut ear.bytes) }
            }
            Say::Beat(echo) => Event::Beat(echo, clock::now()),
            Say::Refused { what, remedy } => {
                let blank = if remedy.is_empty() { "" } else { "; " };
                return Some(Over::Refused(format!("{what}{blank}{remedy}")));
            }
            Say::Ended { why } => return Some(Over::Ended(why)),
        };
        self.tell(event).await;
        None
    }
}

impl From<Broken> for Over {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Version { .. } => Self::Refused(format!(
                "{broken}; use the same version of apisec-top at both ends, as `apisec-top --version` tells"
            )),
            Broken::Foreign(_) | Broken::Damaged | Broken::Gap => Self::Lost(broken.to_string()),
        }
    }
}

struct Ear {
    incoming: Incoming,
    hearing: Hearing,
    buffer: Box<[u8]>,
    /// Since the last report.
    bytes: u64,
}

impl Ear {
    fn new(incoming: Incoming) -> Self {
        Self { incoming, hearing: Hearing::default(), buffer: vec![0; READ].into(), bytes: 0 }
    }

    /// Reads what is there; false at the end.
    async fn read(&mut self) -> Result<bool, String> {
        let read = self.incoming.read(&mut self.buffer).await;
        let read = read.map_err(|error| format!("the way to it broke: {error}"))?;
        self.bytes += read as u64;
        self.hearing.push(self.buffer.get(..read).unwrap_or_default());
        Ok(read > 0)
    }
}

struct Mouth(Outgoing);

impl Mouth {
    async fn say(&mut self, speech: &mut Speech, ask: &Ask) -> Result<(), String> {
        let frame = speech.say(ask).map_err(|_| "the templating rules do not fit a message".to_owned())?;
        self.write(frame).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = timeout(WRITE, async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the way to it broke: {error}")),
            Err(_) => Err("it takes in nothing any more".into()),
        }
    }
}
