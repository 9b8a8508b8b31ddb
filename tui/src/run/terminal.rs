//! The real terminal: taken over at the start, given back however the program ends.

use crate::canvas::Report;
use anyhow::Context as _;
use base64::Engine as _;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use std::io::{IsTerminal as _, Stdout, Write as _, stdout};
use std::mem::ManuallyDrop;

/// Longest text that is offered to the clipboard: terminals refuse more than about 74 kB of base64.
const MAX_COPY: usize = 48 * 1024;

/// The terminal while it is ours. Dropping it gives it back.
pub(super) struct Screen {
    /// Never dropped by itself: its own drop shows the cursor, as ours does, and panics when the terminal is gone and
    /// standard error with it.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl Screen {
    /// Takes the terminal over; a panic will give it back first.
    pub(super) fn open() -> anyhow::Result<Self> {
        anyhow::ensure!(stdout().is_terminal(), "standard output is not a terminal");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        if terminal.is_err() {
            restore();
        }
        Ok(Self { terminal: ManuallyDrop::new(terminal.context("the terminal cannot be drawn on")?) })
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> anyhow::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws one picture; only cells that changed are sent.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Buffer) -> Report) -> anyhow::Result<Report> {
        let mut report = Report::default();
        self.terminal.draw(|frame| {
            report = draw(frame.buffer_mut());
            if let Some(cursor) = report.cursor {
                frame.set_cursor_position(cursor);
            }
        })?;
        Ok(report)
    }

    /// Offers `text` to the clipboard of the terminal (OSC 52), also through tmux.
    pub(super) fn copy(&mut self, text: &str) -> anyhow::Result<()> {
        let mut out = stdout();
        out.write_all(osc52(text, std::env::var_os("TMUX").is_some()).as_bytes())?;
        Ok(out.flush()?)
    }

    /// Rings the bell.
    pub(super) fn ring(&self) -> anyhow::Result<()> {
        let mut out = stdout();
        out.write_all(b"\x07")?;
        Ok(out.flush()?)
    }

    /// Gives the terminal to somebody else meanwhile.
    pub(super) fn away<T>(&mut self, work: impl FnOnce() -> T) -> anyhow::Result<T> {
        restore();
        let outcome = work();
        take()?;
        self.terminal.clear()?;
        Ok(outcome)
    }

    /// Gives the terminal back, stops as the shell expects, and takes the terminal again when continued.
    pub(super) fn suspend(&mut self) -> anyhow::Result<()> {
        restore();
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        take()?;
        Ok(self.terminal.clear()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take() -> anyhow::Result<()> {
    enable_raw_mode().context("raw mode")?;
    let entered =
        execute!(stdout(), EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste, cursor::Hide);
    if entered.is_err() {
        restore();
    }
    entered.context("the alternate screen")
}

/// Gives the terminal back. Every step is tried whatever became of the others: there is nobody left to tell.
fn restore() {
    let _gone =
        execute!(stdout(), DisableBracketedPaste, DisableMouseCapture, LeaveAlternateScreen, cursor::Show);
    let _gone = disable_raw_mode();
}

fn osc52(text: &str, tmux: bool) -> String {
    let mut end = text.len().min(MAX_COPY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(text.get(..end).unwrap_or_default());
    let sequence = format!("\x1b]52;c;{encoded}\x07");
    if tmux { format!("\x1bPtmux;\x1b{sequence}\x1b\\") } else { sequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipboard_sequence_carries_base64_only() {
        assert_eq!(osc52("/users/{id}", false), "\x1b]52;c;L3VzZXJzL3tpZH0=\x07");
        assert_eq!(osc52("\x1b[2J", false).matches('\x1b').count(), 1);
        assert!(osc52("a", true).starts_with("\x1bPtmux;\x1b\x1b]52;"));
        assert!(osc52(&"é".repeat(100_000), false).len() < 74_000);
    }
}
