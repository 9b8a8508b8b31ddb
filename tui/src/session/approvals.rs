//! The specifications of a run: those that were given, those that the operator approves bit by bit, and what was said
//! about whose they are.

use crate::run::{Curate, Wish};
use apisec_engine::command::Command;
use apisec_engine::degradation::Degradation;
use apisec_engine::drift::Given;
use apisec_probe::clock;
use apisec_probe::store::bindings::Bindings;
use apisec_probe::store::working::Working;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// All of them together.
#[derive(Clone)]
pub(super) struct Approvals {
    working: Option<Working>,
    known: Arc<Mutex<Known>>,
    trouble: Option<Degradation>,
}

struct Known {
    /// As read last.
    given: Vec<Given>,
    bindings: Bindings,
}

impl Approvals {
    /// `state` is where the approved ones are, if this run has to do with it.
    pub(super) fn new(state: Option<&Path>, given: Vec<Given>) -> Self {
        let (bindings, trouble) = Bindings::of(state);
        Self {
            working: state.map(Working::of),
            known: Arc::new(Mutex::new(Known { given, bindings })),
            trouble,
        }
    }

    /// What could not be read.
    pub(super) fn trouble(&self) -> Option<Degradation> {
        self.trouble.clone()
    }

    /// All specifications; what was given goes before what was approved.
    pub(super) fn all(&self) -> Vec<Given> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = known.given.clone();
        known.bindings.decide(&mut all);
        all.extend(self.working.iter().flat_map(Working::given));
        all
    }

    /// The same after the given ones were read again.
    pub(super) fn with(&self, given: Vec<Given>) -> Vec<Given> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).given = given;
        self.all()
    }

    /// What the terminal asks for: does it, and says so to the knowledge. Without a state folder nothing is approved, and
    /// what is bound is bound for this run.
    pub(super) fn curate(mut self, is_kept: bool, send: impl Fn(Command) + 'static) -> Curate {
        self.working = self.working.filter(|_| is_kept);
        Box::new(move |wish| {
            let said = self.fulfil(wish).unwrap_or_else(|error| format!("nothing was changed: {error}"));
            send(Command::Specify(self.all()));
            said
        })
    }

    fn fulfil(&self, wish: Wish<'_>) -> std::io::Result<String> {
        if let Wish::Bind { file, service, describes } = wish {
            return self.bind(file, service, describes);
        }
        let Some(working) = &self.working else {
            return Ok("nothing is approved without a state folder (--state DIR)".to_owned());
        };
        match wish {
            Wish::Approve(endpoint, name) => {
                let file = working.approve(name, endpoint, clock::now())?;
                Ok(format!("documented in {}", file.display()))
            }
            _ => Ok(working
                .undo()?
                .map_or_else(|| "nothing was approved".to_owned(), |gone| format!("{gone} is taken back"))),
        }
    }

    fn bind(&self, file: &str, service: &str, describes: bool) -> std::io::Result<String> {
        let bindings = &mut self.known.lock().unwrap_or_else(PoisonError::into_inner).bindings;
        bindings.set(file, service, describes)?;
        let verb = if describes { "describes" } else { "does not describe" };
        let lasts = if bindings.is_kept() { "" } else { ", until this run ends" };
        Ok(format!("{file} {verb} {service}{lasts}"))
    }
}
