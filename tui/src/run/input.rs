//! Keys, mouse and sizes from the terminal, read on a thread of their own because reading blocks.

use crate::event::{Chord, Event, Gesture, KEY_NAMES, Key};
use crossterm::event::{
    self, Event as Raw, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that wait for the loop; a person is slower, a paste is one event.
const QUEUE: usize = 256;
/// How often the thread looks whether it shall end.
const POLL: Duration = Duration::from_millis(100);
/// How long the library looks for what has come; it does not look at all when given no time.
const LOOK: Duration = Duration::from_millis(1);

/// The line to the terminal: whether somebody is still at its other end. To be opened while somebody is, because a
/// terminal that is gone does not even say that it was one.
#[derive(Clone)]
pub(super) struct Line(Arc<OwnedFd>);

impl Line {
    /// What the library reads: standard input, or else the terminal of this session.
    pub(super) fn open() -> std::io::Result<Self> {
        let input = std::io::stdin();
        let line = if input.is_terminal() {
            input.as_fd().try_clone_to_owned()?
        } else {
            File::open("/dev/tty")?.into()
        };
        Ok(Self(Arc::new(line)))
    }

    /// Waits for input, at most so long; `true` when the terminal is gone.
    pub(super) fn is_dead(&self, patience: Duration) -> bool {
        let mut watched = [PollFd::new(&*self.0, PollFlags::IN)];
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
        let _interrupted = poll(&mut watched, Some(&wait));
        let [watched] = watched;
        watched.revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL)
    }
}

/// The reading thread; dropping it ends it.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts to read.
    pub(super) fn start(line: Line) -> std::io::Result<(Self, mpsc::Receiver<Event>)> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || read(&line, &flag, &sender))?;
        Ok((Self { stop, thread: Some(thread) }, receiver))
    }

    /// Reads nothing any more when this returns. Only for a terminal that is there: one that is gone may hold the thread.
    pub(super) fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Ends when told so, when nobody listens, or when the terminal is gone.
fn read(line: &Line, stop: &AtomicBool, sender: &mpsc::Sender<Event>) {
    while !stop.load(Ordering::Relaxed) {
        if line.is_dead(POLL) {
            return;
        }
        if let Err(_gone) = pass_on(sender) {
            return;
        }
    }
}

/// All that has come: what the library has read already wakes nobody who waits for the terminal.
fn pass_on(sender: &mpsc::Sender<Event>) -> std::io::Result<()> {
    while event::poll(LOOK)? {
        if let Some(event) = translate(event::read()?) {
            sender.blocking_send(event).map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}

fn translate(raw: Raw) -> Option<Event> {
    match raw {
        Raw::Key(key) if key.kind != KeyEventKind::Release => chord(key).map(Event::Key),
        Raw::Mouse(mouse) => {
            let gesture = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Gesture::Click,
                MouseEventKind::ScrollUp => Gesture::WheelUp,
                MouseEventKind::ScrollDown => Gesture::WheelDown,
                _ => return None,
            };
            Some(Event::Mouse { gesture, column: mouse.column, row: mouse.row })
        }
        Raw::Paste(text) => Some(Event::Paste(text)),
        Raw::Resize(columns, rows) => Some(Event::Resize(columns, rows)),
        _ => None,
    }
}

fn chord(key: KeyEvent) -> Option<Chord> {
    let with = |modifier| key.modifiers.contains(modifier);
    let (name, shift) = match key.code {
        KeyCode::Char(c) => (Key::Char(c), false),
        KeyCode::F(n) => (Key::F(n), with(KeyModifiers::SHIFT)),
        KeyCode::BackTab => (named("tab")?, true),
        code => (named(&code_name(code)?)?, with(KeyModifiers::SHIFT)),
    };
    Some(Chord { key: name, ctrl: with(KeyModifiers::CONTROL), alt: with(KeyModifiers::ALT), shift })
}

/// The name of a key in keymaps.
fn code_name(code: KeyCode) -> Option<String> {
    let name = match code {
        KeyCode::PageUp => "page-up",
        KeyCode::PageDown => "page-down",
        KeyCode::Esc => "esc",
        KeyCode::Delete => "delete",
        KeyCode::Insert => "insert",
        _ => return Some(format!("{code:?}").to_lowercase()),
    };
    Some(name.to_owned())
}

fn named(name: &str) -> Option<Key> {
    KEY_NAMES.iter().find(|known| **known == name).map(|known| Key::Named(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: KeyCode, modifiers: KeyModifiers) -> String {
        chord(KeyEvent::new(code, modifiers)).expect("a key").to_string()
    }

    #[test]
    fn keys_have_the_names_of_the_keymap() {
        let none = KeyModifiers::NONE;
        let codes = [
            (KeyCode::Enter, "enter"),
            (KeyCode::Esc, "esc"),
            (KeyCode::Tab, "tab"),
            (KeyCode::Backspace, "backspace"),
            (KeyCode::Delete, "delete"),
            (KeyCode::Insert, "insert"),
            (KeyCode::Up, "up"),
            (KeyCode::Down, "down"),
            (KeyCode::Left, "left"),
            (KeyCode::Right, "right"),
            (KeyCode::Home, "home"),
            (KeyCode::End, "end"),
            (KeyCode::PageUp, "page-up"),
            (KeyCode::PageDown, "page-down"),
            (KeyCode::Char(' '), "space"),
            (KeyCode::F(5), "f5"),
        ];
        for (code, name) in codes {
            assert_eq!(shown(code, none), name);
        }
        assert_eq!(shown(KeyCode::Char('c'), KeyModifiers::CONTROL), "ctrl-c");
        assert_eq!(shown(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(shown(KeyCode::BackTab, KeyModifiers::SHIFT), "shift-tab");
        assert!(chord(KeyEvent::new(KeyCode::CapsLock, none)).is_none());
    }
}
