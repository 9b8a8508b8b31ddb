//! Where the operator sees one identity in plain words, while a dialog is open and never else: from the capture thread straight
//! to the terminal, past deltas, snapshots, recordings and disks.

use crate::store::audit::{Audit, Deed};
use apisec_proto::call::IdentityHash;
use apisec_proto::secret::Secret;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What came of looking.
pub enum Sight {
    /// Who it is.
    Seen(Secret),
    /// Why it is not shown.
    Refused(String),
}

/// See the module. Clones look through the same hole.
#[derive(Clone, Default)]
pub struct Peephole(Arc<Hole>);

#[derive(Default)]
struct Hole {
    /// Hash of the identity that is looked for; 0: nobody looks.
    wanted: AtomicU64,
    sight: Mutex<Option<Sight>>,
    /// Why there is never anything to see.
    blind: OnceLock<&'static str>,
}

impl Peephole {
    /// What there is to see, once.
    #[must_use]
    pub fn take(&self) -> Option<Sight> {
        self.sight().take()
    }

    /// Nobody looks any more; what was not taken is gone.
    pub fn close(&self) {
        self.0.wanted.store(0, Ordering::Release);
        *self.sight() = None;
    }

    /// Looks for an identity from now on, if it can be written down that somebody does.
    pub(super) fn open(&self, identity: u64, audit: Option<&mut Audit>) {
        let object = format!("identity {identity:016x}");
        let deed =
            Deed { what: "reveal", object: &object, outcome: "shown to the operator when it calls next" };
        if let Some(why) = self.0.blind.get() {
            *self.sight() = Some(Sight::Refused((*why).to_owned()));
            return;
        }
        let refused = match audit.filter(|audit| audit.is_kept()).map(|audit| audit.write(&deed)) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(format!("it cannot be written down that it was revealed: {error}")),
            None => Some(
                "it cannot be written down that it was revealed: run live, with a state folder".to_owned(),
            ),
        };
        *self.sight() = refused.map(Sight::Refused);
        let looks = self.sight().is_none();
        self.0.wanted.store(if looks { identity } else { 0 }, Ordering::Release);
    }

    /// Nobody is ever known here.
    pub(crate) fn wall_up(&self, why: &'static str) {
        let _first = self.0.blind.set(why);
    }

    /// Whom somebody looks for.
    pub(super) fn wanted(&self) -> Option<IdentityHash> {
        Some(IdentityHash(self.0.wanted.load(Ordering::Acquire))).filter(|identity| identity.0 != 0)
    }

    /// Shows who it is, to one look.
    pub(super) fn show(&self, secret: Secret) {
        let mut sight = self.sight();
        // Within the lock: whoever closed the hole in between has emptied it.
        if self.0.wanted.swap(0, Ordering::AcqRel) != 0 {
            *sight = Some(Sight::Seen(secret));
        }
    }

    fn sight(&self) -> MutexGuard<'_, Option<Sight>> {
        self.0.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(peephole: &Peephole) -> Option<String> {
        peephole.take().map(|sight| match sight {
            Sight::Seen(secret) => secret.expose().to_owned(),
            Sight::Refused(why) => why,
        })
    }

    #[test]
    fn it_is_written_down_first_and_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::in_folder(folder.path()).unwrap();
        let peephole = Peephole::default();
        peephole.show(Secret::new(b"unasked"));
        assert!(said(&peephole).is_none());
        peephole.open(7, Some(&mut audit));
        assert_eq!(peephole.wanted(), Some(IdentityHash(7)));
        let log = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
        assert!(log.contains("\"reveal\"") && log.contains("0000000000000007"), "{log}");
        peephole.show(Secret::new(b"ada"));
        assert_eq!((said(&peephole).as_deref(), peephole.wanted()), (Some("ada"), None));
        assert!(said(&peephole).is_none());
        let log = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
        assert!(!log.contains("ada"), "{log}");
    }

    #[test]
    fn who_looks_away_sees_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::in_folder(folder.path()).unwrap();
        let peephole = Peephole::default();
        peephole.open(7, Some(&mut audit));
        peephole.close();
        peephole.show(Secret::new(b"ada"));
        assert!(said(&peephole).is_none());
        peephole.open(7, Some(&mut audit));
        peephole.show(Secret::new(b"ada"));
        peephole.close();
        assert!(said(&peephole).is_none());
        peephole.wall_up("ask there");
        peephole.open(7, Some(&mut audit));
        assert_eq!((said(&peephole).as_deref(), peephole.wanted()), (Some("ask there"), None));
    }

    #[test]
    fn what_cannot_be_written_down_is_not_shown() {
        let peephole = Peephole::default();
        for audit in [None, Some(&mut Audit::nowhere())] {
            peephole.open(7, audit);
            assert!(peephole.wanted().is_none());
            assert!(said(&peephole).unwrap().contains("state folder"));
        }
    }
}
