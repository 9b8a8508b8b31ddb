//! The specifications of a run: those that were given, and those that the operator approves bit by bit.

use crate::run::Curate;
use apisec_engine::command::Command;
use apisec_engine::drift::Given;
use apisec_probe::clock;
use apisec_probe::store::working::Working;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Both kinds together.
#[derive(Clone)]
pub(super) struct Approvals {
    working: Option<Working>,
    /// As read last.
    given: Arc<Mutex<Vec<Given>>>,
}

impl Approvals {
    /// `state` is where the approved ones are, if this run has to do with it.
    pub(super) fn new(state: Option<&Path>, given: Vec<Given>) -> Self {
        Self { working: state.map(Working::of), given: Arc::new(Mutex::new(given)) }
    }

    /// All specifications; what was given goes before what was approved.
    pub(super) fn all(&self) -> Vec<Given> {
        let mut all = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend(self.working.iter().flat_map(Working::given));
        all
    }

    /// The same after the given ones were read again.
    pub(super) fn with(&self, given: Vec<Given>) -> Vec<Given> {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = given;
        self.all()
    }

    /// What the terminal asks for: approves or takes back, and says so to the knowledge.
    pub(super) fn curate(self, send: impl Fn(Command) + 'static) -> Curate {
        Box::new(move |asked| {
            let Some(working) = &self.working else { return "there is no state folder".to_owned() };
            let done = match asked {
                Some((endpoint, name)) => working
                    .approve(name, endpoint, clock::now())
                    .map(|file| format!("documented in {}", file.display())),
                None => working.undo().map(|gone| {
                    gone.map_or_else(
                        || "nothing was approved".to_owned(),
                        |gone| format!("{gone} is taken back"),
                    )
                }),
            };
            let said = done.unwrap_or_else(|error| format!("nothing was changed: {error}"));
            send(Command::Specify(self.all()));
            said
        })
    }
}
