//! Agents that make up what they report, over real sockets: to try whoever listens to many of them.
//!
//! They speak the protocol as agents do and count invented calls with the same observer; nothing is captured.

use super::frames::{Hearing, Speech, greeting};
use super::message::{Ask, Echo, Manner, Node, Report, Say};
use crate::clock;
use crate::source::session::frame::Unpacker;
use apisec_engine::limits::Limits;
use apisec_engine::node::Shed;
use apisec_engine::observe::Observer;
use apisec_engine::snapshot::Capture;
use apisec_proto::call::{AuthScheme, Call, Notes, Party, Protocol, Vantage, Workload, WorkloadKind};
use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep_until};

/// Services that the endpoints belong to.
const SERVICES: usize = 100;
/// Calls of an active endpoint in an interval.
const CALLS: usize = 3;
const SECOND: u64 = 1_000_000_000;

/// What the cluster is like.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Agents.
    pub nodes: usize,
    /// Different endpoints in the whole cluster.
    pub endpoints: usize,
    /// Percent of them that are active on a node in an interval.
    pub active: usize,
}

/// Listens at `FOLDER/n0`, `FOLDER/n1` …, one agent each, for ever.
///
/// # Errors
/// A socket cannot be made.
pub fn play(folder: &Path, cast: Cast) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let calls: Rc<RefCell<Vec<Call>>> = Rc::new(RefCell::new((0..cast.endpoints).map(call).collect()));
    let mut listeners = Vec::new();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        for number in 0..cast.nodes {
            let listener = UnixListener::bind(folder.join(format!("n{number}")))?;
            let calls = calls.clone();
            listeners.push(tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    // Whoever listened is gone; the next one is waited for.
                    let _gone = act(stream, number, cast, &calls).await;
                }
            }));
        }
        for listener in listeners {
            let _ended = listener.await;
        }
        Ok(())
    })
}

async fn act(stream: UnixStream, number: usize, cast: Cast, calls: &RefCell<Vec<Call>>) -> io::Result<()> {
    let (mut input, mut output) = stream.into_split();
    let (mut speech, mut hearing) = (Speech::new()?, Hearing::default());
    let (mut unpacker, mut raw) = (Unpacker::new()?, Vec::new());
    output.write_all(greeting("rehearsal 1").as_bytes()).await?;
    let mut player =
        Player { observer: Observer::new(Limits::default()), turn: number * 7_919, told: 0, calls: 0 };
    let mut manner: Option<Manner> = None;
    let mut buffer = vec![0; 4_096];
    let mut due = Instant::now() + Duration::from_secs(3_600);
    loop {
        tokio::select! {
            read = input.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                hearing.push(buffer.get(..read).unwrap_or_default());
                while let Ok(Some(ask)) = hearing.next::<Ask>(&mut unpacker, &mut raw) {
                    let now = clock::now();
                    let said = match ask {
                        Ask::Watch(wish) => {
                            manner = Some(wish.manner);
                            due = Instant::now() + Duration::from_millis(number as u64 % 1_000);
                            let echo = Echo { asked: wish.at, heard: now, answered: now };
                            let (run, kernel) = (now ^ number as u64, "rehearsal".into());
                            Say::Watching(Node { run, kernel, addresses: Vec::new(), capabilities: Vec::new(), echo })
                        }
                        Ask::Beat { at } => Say::Beat(Echo { asked: at, heard: now, answered: now }),
                        Ask::Change(changed) => {
                            manner = Some(changed);
                            continue;
                        }
                        Ask::Taken { .. } => continue,
                        Ask::End => Say::Ended { why: "it was told to".into() },
                    };
                    let frame = speech.say(&said).map_err(|_| io::ErrorKind::InvalidData)?;
                    output.write_all(frame).await?;
                    if matches!(said, Say::Ended { .. }) {
                        return Ok(());
                    }
                }
            }
            () = sleep_until(due) => {
                let (interval, samples) = manner.as_ref().map_or((1, 0), |manner| (manner.interval_s, manner.samples));
                let report = player.report(cast, interval, samples as usize, calls);
                let frame = speech.say(&Say::Report(Arc::new(report))).map_err(|_| io::ErrorKind::InvalidData)?;
                output.write_all(frame).await?;
                due += Duration::from_secs(interval.into());
            }
        }
    }
}

struct Player {
    observer: Observer,
    turn: usize,
    told: u64,
    calls: u64,
}

impl Player {
    fn report(&mut self, cast: Cast, interval_s: u32, samples: usize, calls: &RefCell<Vec<Call>>) -> Report {
        let now = clock::now();
        let from = now.saturating_sub(u64::from(interval_s) * SECOND);
        let mut calls = calls.borrow_mut();
        for _ in 0..cast.endpoints * cast.active / 100 {
            self.turn = (self.turn + 61) % cast.endpoints.max(1);
            if let Some(call) = calls.get_mut(self.turn) {
                for step in 0..CALLS {
                    call.at = from + (self.turn * CALLS + step) as u64 * 1_000;
                    self.observer.observe(call);
                    self.calls += 1;
                }
            }
        }
        let mut delta = self.observer.take_delta(from, now);
        let samples_shed = delta.sample(samples);
        self.told += 1;
        Report {
            number: self.told,
            delta,
            capture: Some(Box::new(Capture { calls: self.calls, ..Capture::default() })),
            places: Vec::new(),
            shed: Shed::Nothing,
            samples_shed,
        }
    }
}

/// A pod, so that it is the same on all nodes.
fn pod(number: usize) -> Party {
    let uid = format!("{number:08}-0000-4000-8000-000000000000");
    let workload = Workload {
        pod_uid: uid.as_str().into(),
        ..Workload::named(&format!("pod:{uid}"), &format!("service-{number}"), WorkloadKind::Pod)
    };
    Party { number: number as u32, workload: Arc::new(workload) }
}

/// A call to an endpoint.
fn call(number: usize) -> Call {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let word: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    Call {
        at: 0,
        src: pod((number * 31 + 1) % SERVICES),
        dst: pod(number % SERVICES),
        src_addr: address,
        dst_addr: address,
        vantage: Vantage::Server,
        protocol: Protocol::Http1,
        method: "GET".into(),
        operation: Default::default(),
        path: format!("/api/list.{word}/{number}").as_str().into(),
        query: Default::default(),
        host: "shop.test".into(),
        status: Some(if number.is_multiple_of(50) { 500 } else { 200 }),
        ttfb: Some(150_000),
        duration: 200_000 + (number as u64 * 7_919) % 3_000_000,
        request_bytes: 180,
        response_bytes: 420,
        request_body: 0,
        response_body: 200,
        auth: AuthScheme::Bearer,
        identity: None,
        request_type: Default::default(),
        response_type: "application/json".into(),
        trace: None,
        messages: Default::default(),
        app_status: None,
        failed: false,
        notes: Notes::default(),
        bodies: None,
        graphql: None,
        clues: None,
        credential: None,
        objects: Default::default(),
        tls: None,
        detail: None,
    }
}
