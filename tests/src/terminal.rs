//! A program in a real terminal: tmux draws, we press keys and read the screen.

use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::eventually;
use crate::process::Process;

/// Numbers the terminals of this process: each has a tmux server of its own.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// How long tmux and its shell may take to start on a busy machine.
const STARTED: Duration = Duration::from_secs(180);

/// A terminal of a given size that runs one program.
#[derive(Debug)]
pub struct Terminal {
    name: String,
    /// Held for its drop; nothing else is asked of it.
    _server: Process,
}

impl Terminal {
    /// Starts `program` in a terminal of `columns` × `rows`.
    ///
    /// # Errors
    /// Without tmux, or when tmux refuses.
    pub fn start(columns: u16, rows: u16, program: &Command) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("apisec-{}-{number}", process::id());
        let mut server = tmux(&name);
        // Not as a daemon, so that it ends with us.
        server.arg("-D").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let terminal = Self { _server: Process::start(server)?, name };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut tmux = terminal.tmux();
        tmux.args(["new-session", "-d", "-s", "main", "-x", &columns, "-y", &rows]);
        for (name, value) in program.get_envs() {
            if let (Some(name), Some(value)) = (name.to_str(), value.and_then(|v| v.to_str())) {
                tmux.arg("-e").arg(format!("{name}={value}"));
            }
        }
        // A shell stays when the program ends, so that what is left of the screen can be looked at.
        tmux.args(["env", "PS1=$ ", "sh"]);
        eventually("the tmux server", STARTED, || finish(&mut tmux).ok())?;
        terminal.set("history-limit", "5000")?;
        terminal.set("escape-time", "0")?;
        terminal.until("a prompt", STARTED, |screen| screen.contains('$'))?;
        terminal.type_text(&shell_line(program))?;
        terminal.keys(&["Enter"])?;
        Ok(terminal)
    }

    /// Presses keys, by tmux's names: `q`, `Down`, `Enter`, `C-c`, `F1`.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn keys(&self, keys: &[&str]) -> Result<()> {
        finish(self.tmux().args(["send-keys", "-t", "main"]).args(keys)).map(drop)
    }

    /// Types text as it is.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn type_text(&self, text: &str) -> Result<()> {
        finish(self.tmux().args(["send-keys", "-t", "main", "-l", "--", text])).map(drop)
    }

    /// Presses and lets go the left mouse button at a cell, counted from 1.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn click(&self, column: u16, row: u16) -> Result<()> {
        self.type_text(&format!("\x1b[<0;{column};{row}M"))?;
        self.type_text(&format!("\x1b[<0;{column};{row}m"))
    }

    /// Gives the terminal another size.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        finish(self.tmux().args(["resize-window", "-t", "main", "-x", &columns, "-y", &rows])).map(drop)
    }

    /// What is on the screen, line by line, without colours.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn screen(&self) -> Result<String> {
        finish(self.tmux().args(["capture-pane", "-p", "-t", "main"]))
    }

    /// What is on the screen with its colours as escape sequences.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn coloured_screen(&self) -> Result<String> {
        finish(self.tmux().args(["capture-pane", "-p", "-e", "-t", "main"]))
    }

    /// Waits until the screen satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// When it does not within `patience`; with the screen as it was last.
    pub fn until(&self, what: &str, patience: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        let found = eventually(what, patience, || {
            last = self.screen().unwrap_or_else(|e| e.to_string());
            wanted(&last).then(|| last.clone())
        });
        found.map_err(|error| anyhow!("{error}; the screen was:\n{last}"))
    }

    /// One of tmux's own figures, for example `cursor_flag`, `alternate_on`, `mouse_any_flag`, `pane_pid`.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn figure(&self, name: &str) -> Result<String> {
        let format = format!("#{{{name}}}");
        Ok(finish(self.tmux().args(["display-message", "-p", "-t", "main", &format]))?.trim().to_owned())
    }

    fn set(&self, option: &str, value: &str) -> Result<()> {
        finish(self.tmux().args(["set-option", "-g", option, value])).map(drop)
    }

    fn tmux(&self) -> Command {
        let mut command = tmux(&self.name);
        command.arg("-N");
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It is gone already when its program was the last to run.
        let _gone = self.tmux().arg("kill-server").output();
    }
}

fn tmux(name: &str) -> Command {
    let mut command = Command::new("tmux");
    command.args(["-f", "/dev/null", "-L", name]).env_remove("TMUX").env("LC_ALL", "C.UTF-8");
    command
}

fn shell_line(program: &Command) -> String {
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

fn finish(command: &mut Command) -> Result<String> {
    let output = command.output().context("run tmux")?;
    if !output.status.success() {
        bail!("tmux: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
