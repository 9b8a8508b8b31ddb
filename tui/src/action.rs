//! What the operator can ask for, by name. Keys and the palette name actions; only the reducer runs them.

use crate::view::VIEWS;
use apisec_engine::command::Command;
use apisec_engine::policy::Policy;

/// One thing to do. Closed: the keymap, the palette and the mouse can say nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave the program.
    Quit,
    /// Show what the keys do now.
    Help,
    /// Open the command palette.
    Palette,
    /// Edit the filter.
    Filter,
    /// Drop the filter.
    ClearFilter,
    /// Replace the filter by this text.
    SetFilter(String),
    /// Hold the picture, or let it go on.
    Freeze,
    /// Go one second back in time.
    Back,
    /// Go one second forward.
    Forward,
    /// Go thirty seconds back.
    BackFar,
    /// Go thirty seconds forward.
    ForwardFar,
    /// Return to the present.
    Now,
    /// Focus the next view.
    NextView,
    /// Focus the previous view.
    PreviousView,
    /// Focus the view with this place in [`VIEWS`].
    Show(usize),
    /// Choose what is written into a file.
    Export,
    /// Show what is documented beside what was observed.
    Compare,
    /// Add the selected operation to the working specification, after a question.
    Approve,
    /// Add the endpoint with this key to it (from a confirmed dialog).
    Approved(String),
    /// Take the newest approval back.
    UndoApproval,
    /// Show which specification describes which service, to change it.
    Bind,
    /// Change to the next theme.
    NextTheme,
    /// Stop until the shell continues us.
    Suspend,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// To the left, or collapse.
    Left,
    /// To the right, or expand.
    Right,
    /// Open what is selected.
    Open,
    /// Close what is open.
    Close,
    /// Sort by the next column.
    Sort,
    /// Reverse the order.
    SortReverse,
    /// Copy the selected name to the clipboard of the terminal.
    Copy,
    /// Change between the drawing and the table.
    Table,
    /// Expand everything.
    ExpandAll,
    /// Collapse everything.
    CollapseAll,
    /// Fold the selected path segment and its siblings into one parameter.
    Merge,
    /// Show the values of the selected parameter literally.
    Split,
    /// Take the newest templating rule back.
    UndoRule,
    /// Preview a policy that stops what is selected.
    Block,
    /// Choose one of several policies that stop what is selected.
    Choose(Vec<Policy>),
    /// Preview this policy; it takes the place of the one with this number.
    Preview(Box<Policy>, Option<u32>),
    /// Change a policy in an editor.
    Edit,
    /// Take a policy back.
    UndoPolicy,
    /// Take all policies back.
    UndoAll,
    /// Let it last longer.
    Extend,
    /// Let it end sooner.
    Shorten,
    /// Let it last until it is taken back.
    Permanent,
    /// Close the selected half-read connection, so that its successor can be read.
    Resync,
    /// Show the calls behind the selected finding.
    ItsCalls,
    /// Show the endpoint of the selected finding.
    ItsEndpoint,
    /// Somebody looks at the selected finding.
    Acknowledge,
    /// Do not show the selected finding for some time.
    Mute,
    /// The selected finding is over.
    Resolve,
    /// The selected finding is new again.
    Reopen,
    /// Show once who the selected identity is.
    Reveal,
    /// Accept the input.
    Accept,
    /// Delete the character before the cursor.
    Erase,
    /// Delete the character under the cursor.
    EraseNext,
    /// Delete the word before the cursor.
    EraseWord,
    /// Delete the whole input.
    EraseLine,
    /// Cursor to the left.
    CursorLeft,
    /// Cursor to the right.
    CursorRight,
    /// Cursor to the start.
    CursorStart,
    /// Cursor to the end.
    CursorEnd,
    /// Type a character.
    Insert(char),
    /// Select the row with this number among all rows (mouse).
    Select(usize),
    /// Sort by this column, or reverse it (mouse).
    SortBy(usize),
    /// Send this to the knowledge (from a confirmed dialog).
    Send(Command),
}

/// An action with its stable name and what it does.
pub struct Named {
    /// The action.
    pub action: Action,
    /// Its name in keymaps, `print keys` and the palette.
    pub name: &'static str,
    /// What it does, for the help.
    pub title: &'static str,
    /// One or two words, for the footer.
    pub short: &'static str,
}

const fn named(action: Action, name: &'static str, short: &'static str, title: &'static str) -> Named {
    Named { action, name, title, short }
}

/// Every action that has a name, in the order of the help.
pub const NAMED: &[Named] = &[
    named(Action::Open, "open", "open", "open the selected row"),
    named(Action::Close, "close", "close", "close, go back"),
    named(Action::Up, "up", "up", "one row up"),
    named(Action::Down, "down", "down", "one row down"),
    named(Action::PageUp, "page-up", "page up", "one page up"),
    named(Action::PageDown, "page-down", "page down", "one page down"),
    named(Action::First, "first", "first", "first row"),
    named(Action::Last, "last", "last", "last row; follow the tail"),
    named(Action::Left, "left", "left", "left, collapse"),
    named(Action::Right, "right", "right", "right, expand"),
    named(Action::Table, "table", "table", "drawing or table"),
    named(Action::Merge, "merge", "merge", "fold this segment and its siblings into one parameter"),
    named(Action::Split, "split", "split", "show the values of this parameter literally"),
    named(Action::UndoRule, "undo-rule", "undo", "take the newest merge or split back"),
    named(Action::Block, "block", "block", "preview a policy that stops what is selected"),
    named(Action::Edit, "edit", "edit", "change a policy in your editor ($EDITOR); its preview follows"),
    named(Action::UndoPolicy, "undo-policy", "undo block", "take a policy back"),
    named(Action::UndoAll, "undo-all", "undo all", "take all policies back"),
    named(Action::Extend, "extend", "longer", "let it last longer"),
    named(Action::Shorten, "shorten", "shorter", "let it end sooner"),
    named(Action::Permanent, "permanent", "for ever", "let it last until it is taken back"),
    named(
        Action::Resync,
        "resync",
        "resync",
        "close the half-read connection, so that its successor can be read",
    ),
    named(Action::ItsCalls, "trace", "calls", "the calls behind this finding"),
    named(Action::ItsEndpoint, "locate", "endpoint", "the endpoint of this finding"),
    named(Action::Acknowledge, "acknowledge", "ack", "somebody looks at this finding"),
    named(Action::Mute, "mute", "mute", "do not show this finding for some time, with a reason"),
    named(Action::Resolve, "resolve", "resolve", "this finding is over; if it happens again it is new again"),
    named(Action::Reopen, "reopen", "reopen", "this finding is new again"),
    named(
        Action::Reveal,
        "reveal",
        "reveal",
        "show once who this identity is; that it was shown is written down",
    ),
    named(Action::Sort, "sort", "sort", "sort by the next column"),
    named(Action::SortReverse, "sort-reverse", "reverse", "reverse the order"),
    named(Action::ExpandAll, "expand-all", "expand all", "expand everything"),
    named(Action::CollapseAll, "collapse-all", "collapse all", "collapse everything"),
    named(Action::Copy, "copy", "copy", "copy the selected name to the clipboard"),
    named(Action::Accept, "accept", "accept", "accept the input"),
    named(Action::Erase, "erase", "erase", "delete the character before the cursor"),
    named(Action::EraseNext, "erase-next", "delete", "delete the character under the cursor"),
    named(Action::EraseWord, "erase-word", "erase word", "delete the word before the cursor"),
    named(Action::EraseLine, "erase-line", "erase line", "delete the whole input"),
    named(Action::CursorLeft, "cursor-left", "left", "cursor to the left"),
    named(Action::CursorRight, "cursor-right", "right", "cursor to the right"),
    named(Action::CursorStart, "cursor-start", "start", "cursor to the start"),
    named(Action::CursorEnd, "cursor-end", "end", "cursor to the end"),
    named(Action::Filter, "filter", "filter", "filter what is shown"),
    named(Action::ClearFilter, "clear-filter", "unfilter", "drop the filter"),
    named(Action::Freeze, "freeze", "freeze", "hold the picture, or let it go on"),
    named(Action::Back, "back", "earlier", "one second back in time"),
    named(Action::Forward, "forward", "later", "one second forward in time"),
    named(Action::BackFar, "back-far", "-30s", "thirty seconds back in time"),
    named(Action::ForwardFar, "forward-far", "+30s", "thirty seconds forward in time"),
    named(Action::Now, "now", "now", "return to the present"),
    named(Action::NextView, "next-view", "next view", "next view"),
    named(Action::PreviousView, "previous-view", "previous view", "previous view"),
    named(Action::Export, "export", "export", "write what is shown into a file"),
    named(Action::Compare, "compare", "compare", "documented and observed, side by side"),
    named(Action::Approve, "approve", "approve", "add this operation to the working specification"),
    named(Action::UndoApproval, "undo-approval", "unapprove", "take the newest approval back"),
    named(Action::Bind, "bind", "bind", "which specification describes which service, to change it"),
    named(Action::NextTheme, "next-theme", "theme", "next theme"),
    named(Action::Palette, "palette", "commands", "run a command by name"),
    named(Action::Help, "help", "help", "what the keys do here"),
    named(Action::Suspend, "suspend", "suspend", "stop until the shell continues us"),
    named(Action::Quit, "quit", "quit", "leave"),
];

/// Prefix of the names of [`Action::Show`].
const SHOW: &str = "show-";

impl Action {
    /// The action called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(view) = name.strip_prefix(SHOW) {
            return VIEWS.iter().position(|entry| entry.name == view).map(Self::Show);
        }
        NAMED.iter().find(|named| named.name == name).map(|named| named.action.clone())
    }

    /// Its stable name; `None` for what only the mouse or a dialog can say.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        if let Self::Show(index) = self {
            return VIEWS.get(*index).map(|view| format!("{SHOW}{}", view.name));
        }
        self.entry().map(|named| named.name.to_owned())
    }

    /// What it does, for the help.
    #[must_use]
    pub fn title(&self) -> String {
        if let Self::Show(index) = self {
            return VIEWS.get(*index).map(|view| format!("go to {}", view.title)).unwrap_or_default();
        }
        self.entry().map(|named| named.title.to_owned()).unwrap_or_default()
    }

    /// One or two words, for the footer.
    #[must_use]
    pub fn short(&self) -> &'static str {
        match self {
            Self::Show(index) => VIEWS.get(*index).map_or("", |view| view.title),
            _ => self.entry().map_or("", |named| named.short),
        }
    }

    fn entry(&self) -> Option<&'static Named> {
        NAMED.iter().find(|named| named.action == *self)
    }

    /// Every action that can be named, views included.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMED.iter().map(|named| named.action.clone()).chain((0..VIEWS.len()).map(Self::Show))
    }
}

/// What the reducer asks the run loop to do to the outside world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Send a command to the knowledge.
    Send(Command),
    /// Put this text on the clipboard of the terminal.
    Copy(String),
    /// Write this export in this format, both by their places, into a file.
    Export(usize, usize),
    /// Add the endpoint with this key to the working specification.
    Approve(String),
    /// Take the newest approval back.
    UndoApproval,
    /// The specification of a file describes a service, or does not.
    Bind {
        /// That file, as it is shown.
        file: String,
        /// Workload id of the service.
        service: String,
        /// It does.
        describes: bool,
    },
    /// Have the operator edit this policy, which has this number.
    Edit(u32, Box<Policy>),
    /// Stop as the shell's job control would.
    Suspend,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse_back() {
        let mut seen = std::collections::HashSet::new();
        for action in Action::all() {
            let name = action.name().expect("a named action");
            assert!(seen.insert(name.clone()), "{name} twice");
            assert_eq!(Action::parse(&name), Some(action.clone()));
            assert!(!action.title().is_empty() && !action.short().is_empty(), "{name} says nothing");
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(Action::parse("format-disk"), None);
        assert_eq!(Action::parse("show-nothing"), None);
    }
}
