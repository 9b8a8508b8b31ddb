//! Closing a half-read connection: what it does, in words, before it is done.

use super::row::Row;
use crate::action::Action;
use crate::format::count;
use crate::layer::confirm::Confirm;
use crate::view::{Reply, World};
use crate::widget::escape::escape;
use apisec_engine::command::Command;
use apisec_engine::coverage::HalfReadView;

/// The half-read connections of a workload, those with most calls first.
pub(super) fn connections<'a>(world: &World<'a>, row: &'a Row) -> impl Iterator<Item = &'a HalfReadView> {
    let mine = |view: &&HalfReadView| view.dst == row.workload || view.src == row.workload;
    world.snapshot.capture.half_read.iter().filter(mine)
}

/// The one that the key closes.
pub(super) fn target<'a>(world: &World<'a>, row: &'a Row) -> Option<&'a HalfReadView> {
    connections(world, row).next().filter(|_| !world.read_only)
}

/// Asks before it is done.
pub(super) fn ask(world: &World<'_>, row: Option<&Row>) -> Reply {
    if world.read_only {
        return Reply::Refused("read-only: nothing is changed".to_owned());
    }
    let Some(view) = row.and_then(|row| target(world, row)) else {
        return Reply::Refused("no connection of this workload is read in part".to_owned());
    };
    let lines = vec![
        "This one connection of HTTP/2 is closed, at once, in the kernel:".to_owned(),
        format!("  {}  {}", world.labels.get(&view.src), escape(&view.client)),
        format!("  {}  {}", world.labels.get(&view.dst), escape(&view.server)),
        format!("It was open before us; some field of {} calls could not be read.", count(view.calls)),
        "Calls that are open on it fail. Most clients open another, which is read whole.".to_owned(),
        "This cannot be taken back. It is written down in the audit log.".to_owned(),
    ];
    Reply::Open(Box::new(Confirm::new(
        "Close a connection",
        lines,
        Action::Send(Command::Resync(view.connection)),
    )))
}
