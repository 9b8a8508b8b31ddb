//! Closes half-read connections for the operator, one at a time, and writes down that it was done.

use crate::sever::{SeverError, Target, sever};
use crate::store::audit::{Audit, Deed};
use apisec_engine::coverage::HalfReadView;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::snapshot::Capture;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Outcomes that wait to be read: no hand is faster.
const WAITING: usize = 16;

/// See the module.
pub(super) struct Resync {
    audit: Option<Audit>,
    send: Sender<(HalfReadView, Result<(), SeverError>)>,
    outcomes: Receiver<(HalfReadView, Result<(), SeverError>)>,
    closed: u64,
    /// Of those that may still be in the list.
    gone: Vec<u64>,
    trouble: Option<Degradation>,
}

impl Resync {
    /// Without an audit nothing is closed.
    pub(super) fn new(audit: Option<Audit>) -> Self {
        let (send, outcomes) = bounded(WAITING);
        Self { audit, send, outcomes, closed: 0, gone: Vec::new(), trouble: None }
    }

    /// Where it is written down.
    pub(super) const fn audit(&mut self) -> Option<&mut Audit> {
        self.audit.as_mut()
    }

    /// Closes `connection`, if it is one of these; the kernel is asked on a thread of its own.
    pub(super) fn start(&mut self, connection: u64, known: &[HalfReadView]) {
        if self.audit.is_none() {
            self.trouble =
                Some(trouble("nothing may be changed in this run", "run live, without --read-only"));
            return;
        }
        let Some(view) = known.iter().find(|view| view.connection == connection).cloned() else {
            self.trouble = Some(trouble("the connection is gone already", ""));
            return;
        };
        let Some(target) = target(&view) else { return };
        let send = self.send.clone();
        let thread = std::thread::Builder::new().name("apisec-resync".into());
        let asked = thread.spawn(move || {
            // Nobody listens any more only at the end.
            let _gone = send.try_send((view, sever(target)));
        });
        self.trouble = asked.err().map(|error| trouble(&format!("no thread could be started: {error}"), ""));
    }

    /// Takes what has come out of it; whether anything has.
    pub(super) fn listen(&mut self) -> bool {
        let mut any = false;
        while let Ok((view, outcome)) = self.outcomes.try_recv() {
            any = true;
            self.write_down(&view, &outcome);
            match outcome {
                Ok(()) => {
                    self.closed += 1;
                    self.gone.push(view.connection);
                }
                Err(error) => self.trouble = Some(trouble(&error.to_string(), error.remedy())),
            }
        }
        any
    }

    fn write_down(&mut self, view: &HalfReadView, outcome: &Result<(), SeverError>) {
        let Some(audit) = &mut self.audit else { return };
        let outcome = outcome.as_ref().map_or_else(ToString::to_string, |()| "closed".into());
        let object = format!("{} ({}) to {} ({})", view.src, view.client, view.dst, view.server);
        let deed = Deed { what: "resync", object: &object, outcome: &outcome };
        if let Err(error) = audit.write(&deed) {
            self.trouble =
                Some(trouble(&format!("it could not be written down: {error}"), "make room on the disk"));
        }
    }

    /// Adds what came of it to the state of the capture.
    pub(super) fn describe(&mut self, capture: &mut Capture) {
        let listed = |connection: &u64| capture.half_read.iter().any(|view| view.connection == *connection);
        self.gone.retain(listed);
        capture.half_read.retain(|view| !self.gone.contains(&view.connection));
        if self.closed > 0 {
            capture.counters.insert("connections_closed_by_operator".into(), self.closed);
        }
        capture.degradations.extend(self.trouble.clone());
    }
}

fn target(view: &HalfReadView) -> Option<Target> {
    let (client, server) = (view.client.parse().ok()?, view.server.parse().ok()?);
    let (local, remote) = if view.at_server { (server, client) } else { (client, server) };
    Some(Target { local, remote, cookie: view.connection })
}

fn trouble(why: &str, remedy: &str) -> Degradation {
    Degradation {
        code: "resync".into(),
        severity: Severity::Notice,
        what: format!("the half-read connection was not closed: {why}"),
        remedy: remedy.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    fn until_heard(resync: &mut Resync) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !resync.listen() {
            assert!(Instant::now() < deadline, "no outcome");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_done_is_written_down_and_what_is_not_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, remote) = listener.accept().unwrap();
        let view = HalfReadView {
            connection: rustix::net::sockopt::socket_cookie(&server).unwrap(),
            src: "process:a".into(),
            dst: "process:b\n".into(),
            client: remote.to_string(),
            server: server.local_addr().unwrap().to_string(),
            at_server: true,
            ..HalfReadView::default()
        };
        let mut resync = Resync::new(Some(Audit::in_folder(folder.path()).unwrap()));
        for _ in 0..2 {
            resync.start(view.connection, std::slice::from_ref(&view));
            until_heard(&mut resync);
        }
        let mut capture = Capture { half_read: vec![view], ..Capture::default() };
        resync.describe(&mut capture);
        assert!(capture.degradations[0].what.contains("not closed"), "{capture:?}");
        let log = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains("\"resync\"") && log.contains("process:a"), "{log}");
        if resync.closed > 0 {
            assert!(capture.half_read.is_empty() && log.contains("\"closed\""), "{log}");
        }
    }

    #[test]
    fn without_leave_nothing_is_done() {
        let mut resync = Resync::new(None);
        resync.start(1, &[HalfReadView { connection: 1, ..HalfReadView::default() }]);
        let mut capture = Capture::default();
        resync.describe(&mut capture);
        assert!(capture.degradations[0].remedy.contains("--read-only"));
    }
}
