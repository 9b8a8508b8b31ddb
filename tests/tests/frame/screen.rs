//! The tool in a terminal, and what must hold of every picture that it draws.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use apisec_tests::process::Process;
use apisec_tests::skip::{have_programs, have_root};
use apisec_tests::terminal::Terminal;
use apisec_tests::tool;
use rustix::process::{Pid, Signal, kill_process};

/// How long a picture may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
/// The views with what only each of them shows.
pub(super) const VIEWS: [(&str, &str); 9] = [
    ("overview", "─ Services ─"),
    ("graph", "─ Graph ─"),
    ("endpoints", "─ Endpoints ─"),
    ("calls", "─ Calls ─"),
    ("drift", "─ Drift ─"),
    ("coverage", "─ Coverage ─"),
    ("sensitive", "─ Sensitive data ─"),
    ("policies", "─ Policies ─"),
    ("findings", "─ Findings ─"),
];

/// The tool, drawing on a terminal of a known size.
pub(super) struct Screen {
    pub(super) terminal: Terminal,
    columns: usize,
    rows: usize,
}

impl Screen {
    /// Starts the tool with `arguments` and waits for a header that holds `state`.
    pub(super) fn start(columns: u16, rows: u16, arguments: &[&str], state: &str) -> Self {
        Self::start_command(columns, rows, &tool::command(arguments).unwrap(), state)
    }

    pub(super) fn start_command(columns: u16, rows: u16, command: &Command, state: &str) -> Self {
        let terminal = Terminal::start(columns, rows, command).unwrap();
        let screen = Self { terminal, columns: columns.into(), rows: rows.into() };
        screen.until(state, |text| header(text).contains(state));
        screen
    }

    /// Presses one key of tmux's names, or types one character.
    pub(super) fn press(&self, key: &str) {
        match key.chars().count() {
            1 => self.terminal.type_text(key).unwrap(),
            _ => self.terminal.keys(&[key]).unwrap(),
        }
    }

    pub(super) fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.terminal.until(what, PATIENCE, wanted).unwrap()
    }

    /// Presses a key and waits for what it must bring about.
    pub(super) fn press_until(&self, key: &str, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.press(key);
        let text = self.until(&format!("{what} after {key}"), wanted);
        self.assert_sound(key);
        text
    }

    /// The program lives, and what is on screen is one whole picture.
    pub(super) fn assert_sound(&self, after: &str) -> String {
        assert_eq!(self.terminal.figure("alternate_on").unwrap(), "1", "left the screen after {after}");
        // A capture may fall between two writes of one frame.
        let whole = |text: &str| header(text).contains(" apisec-top ") && !footer(text).trim().is_empty();
        let text = self.until(&format!("a header and a footer after {after}"), whole);
        assert_eq!(text.lines().count(), self.rows, "after {after}:\n{text}");
        assert!(text.lines().all(|line| line.chars().count() <= self.columns), "after {after}:\n{text}");
        assert!(!text.contains("panicked"), "after {after}:\n{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "after {after}:\n{text:?}");
        text
    }

    /// Shows a view, in the present, without dialog.
    pub(super) fn show(&self, view: usize) -> String {
        let (name, mark) = VIEWS[view];
        self.press(&(view + 1).to_string());
        let tabs = |text: &str| text.contains("1 Ove") && text.contains("4 Cal");
        let here = |text: &str| {
            header(text).contains("LIVE") && tabs(text) && text.contains(mark) && only(text, view)
        };
        self.until(name, here)
    }

    /// Closes what lies over the view. A lone escape byte must be heard before the next key follows.
    pub(super) fn close(&self, mark: &str) {
        self.press_until("Escape", "no dialog", |text| !text.contains(mark));
    }

    /// Asks for the state of the terminal that the shell must find again.
    pub(super) fn until_restored(&self) {
        let prompt = |text: &str| {
            text.lines().rfind(|line| !line.trim().is_empty()).is_some_and(|l| l.trim_end().ends_with('$'))
        };
        self.until("the prompt", prompt);
        for (figure, wanted) in
            [("alternate_on", "0"), ("cursor_flag", "1"), ("mouse_any_flag", "0"), ("pane_dead", "0")]
        {
            assert_eq!(self.terminal.figure(figure).unwrap(), wanted, "{figure}");
        }
        // Typed text is echoed and lines are cooked again.
        self.terminal.type_text("echo restored-$((40+2))").unwrap();
        self.press("Enter");
        let text = self.until("the shell's answer", |text| text.contains("\nrestored-42"));
        assert!(text.contains("echo restored-$"), "no echo:\n{text}");
        assert!(!text.contains("panicked"), "{text}");
    }

    /// Sends a signal to the tool itself.
    pub(super) fn signal(&self, signal: Signal) {
        let shell = self.terminal.figure("pane_pid").unwrap();
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let tool = children.split_whitespace().next_back().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(tool).unwrap(), signal).unwrap();
    }
}

/// The first line.
pub(super) fn header(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The last line.
pub(super) fn footer(text: &str) -> &str {
    text.lines().next_back().unwrap_or_default()
}

/// Whether no other view's mark is there; the overview shows endpoints as well.
fn only(text: &str, view: usize) -> bool {
    let other = |(place, (_, mark)): (usize, &(&str, &str))| place != view && text.contains(mark);
    view == 0 || !VIEWS.iter().enumerate().any(other)
}

/// Whether this machine can run a test of the terminal on live traffic.
pub(super) fn can_run_live(name: &str) -> bool {
    have_root(name) && have_programs(name, &["tmux", "nginx", "curl"])
}

/// The shop with modest traffic.
pub(super) fn shop() -> Process {
    let mut command = Command::new(tool::shop().unwrap());
    command.args(["up", "--rate", "20"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(command).unwrap()
}
