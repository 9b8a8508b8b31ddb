//! Keeps the operator's templating rules in the state folder while they change.

use crate::exit::Failure;
use apisec_engine::command::TemplateRule;
use apisec_probe::store::Store;
use std::io;
use std::thread::{self, JoinHandle};
use tokio::sync::watch;

/// The thread that writes them.
pub(super) struct Keeper(JoinHandle<io::Result<()>>);

/// Writes the rules whenever they change, until the pipeline ends.
pub(super) fn keep(rules: watch::Receiver<Vec<TemplateRule>>, store: Store) -> Result<Keeper, Failure> {
    let thread = thread::Builder::new().name("apisec-rules".into()).spawn(move || follow(rules, store));
    match thread {
        Ok(thread) => Ok(Keeper(thread)),
        Err(error) => Err(Failure::new(format!("no thread could be started: {error}"), "ulimit -u")),
    }
}

impl Keeper {
    /// Waits until the last change is written; the pipeline must have ended.
    pub(super) fn end(self) -> Result<(), Failure> {
        let kept = self.0.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")));
        kept.map_err(|error| {
            Failure::new(
                format!("your templating rules could not be written to the state folder: {error}"),
                "make room, or give another folder with --state DIR",
            )
        })
    }
}

fn follow(mut rules: watch::Receiver<Vec<TemplateRule>>, mut store: Store) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut last = Ok(());
        while rules.changed().await.is_ok() {
            let changed = rules.borrow_and_update().clone();
            last = store.keep(&changed);
        }
        last
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_probe::store::Access;

    #[test]
    fn the_last_change_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (publish, rules) = watch::channel(Vec::new());
        let keeper = keep(rules, Store::open(folder.path(), Access::Change).unwrap()).unwrap();
        let rule = TemplateRule::Merge { service: "process:nginx:80".into(), path: "/a".into() };
        publish.send_replace(vec![rule.clone()]);
        publish.send_replace(vec![rule.clone(), rule.clone()]);
        drop(publish);
        keeper.end().unwrap();
        assert_eq!(Store::open(folder.path(), Access::Read).unwrap().rules(), [rule.clone(), rule]);
    }
}
