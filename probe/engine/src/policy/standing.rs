//! How policies stand: what a view, report or export shows of them.

use super::Policy;
use super::measure::When;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is in force.
    Active,
    /// The journal says that it is in force, and the kernel has nothing of it.
    Missing,
    /// It is in force, and no journal of ours knows why.
    Unknown,
    /// It could not be put into force, or is only partly taken back.
    Failed,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Undone,
}

impl State {
    /// Its word in the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Undone => "undone",
        }
    }

    /// Whether there is something to take back.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Expired | Self::Undone)
    }
}

/// A policy as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyView {
    /// Its number; the 403 names it.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// `edge`, `endpoint`, `identity`, `rate` or `quarantine`; empty when unknown.
    pub scope: String,
    /// What it stops, in one line.
    pub what: String,
    /// Who enforces it.
    pub backend: String,
    /// How it stands.
    pub state: State,
    /// `inline`, `reactive`, or both.
    pub when: Vec<When>,
    /// When it was put into force, Unix nanoseconds.
    pub applied_ns: u64,
    /// When it ends or ended, Unix nanoseconds; 0: not before it is taken back.
    pub deadline_ns: u64,
    /// Why it is there.
    pub reason: String,
    /// Key of the finding that gave rise to it.
    pub finding: String,
    /// Who put it into force: `user@tty from address`.
    pub by: String,
    /// Connections and requests refused.
    pub blocked: u64,
    /// Calls that it should have cut and that were answered all the same; known while `watched`.
    pub passed: u64,
    /// Connections that were closed because such a call was seen on them; they count as blocked, too.
    #[serde(default)]
    pub closed: u64,
    /// Somebody looks at traffic, and counts what passes.
    #[serde(default)]
    pub watched: bool,
    /// What could not be decided and was let through.
    pub undecided: u64,
    /// Within its rate.
    pub within_rate: u64,
    /// When it acted last, Unix nanoseconds; 0: never.
    pub last_ns: u64,
    /// Microseconds from the order to its being in force.
    pub took_us: u64,
    /// What is done after the fact: microseconds from the first byte of such a call to its connection being closed, the
    /// longest; 0: none was.
    #[serde(default)]
    pub delay_us: u64,
    /// What it did, by caller, most first, at most 32.
    pub callers: Vec<EffectView>,
    /// What is wrong with it; empty when nothing is.
    pub trouble: Vec<String>,
    /// The policy itself; none when no journal knows it.
    pub policy: Option<Policy>,
}

/// What a policy did to one caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EffectView {
    /// Its program or address.
    pub caller: String,
    /// A process of it; 0 when unknown.
    pub pid: u32,
    /// Refused, or its connections closed.
    pub blocked: u64,
    /// Its calls that were answered all the same.
    #[serde(default)]
    pub passed: u64,
    /// When it was last, Unix nanoseconds.
    pub last_ns: u64,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryView {
    /// Number of the entry in the journal.
    pub seq: u64,
    /// When, Unix nanoseconds.
    pub at: u64,
    /// The policy.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What was done: `prepared`, `applied`, `undone`…
    pub event: String,
    /// Details in plain words.
    pub what: String,
    /// By whom.
    pub by: String,
}

/// All there is to say about policies, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// Policies that are in force or ended lately, newest first.
    pub policies: Vec<PolicyView>,
    /// The newest entries of the journal, newest first.
    pub history: Vec<HistoryView>,
    /// What is wrong as a whole.
    pub trouble: Vec<crate::degradation::Degradation>,
    /// What was answered to the last order.
    pub answer: Option<Answer>,
}

/// What was made of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Counts up with every order.
    pub number: u64,
    /// It was done.
    pub done: bool,
    /// In plain words.
    pub text: String,
}

impl PolicyView {
    /// `blocked 412, passed 0, last 0.3 s ago`.
    #[must_use]
    pub fn effect(&self, now: u64) -> String {
        let last = match self.last_ns {
            0 => String::new(),
            last => {
                let tenths = now.saturating_sub(last) / 100_000_000;
                match tenths {
                    0..600 => format!(", last {}.{} s ago", tenths / 10, tenths % 10),
                    _ => format!(", last {} min ago", tenths / 600),
                }
            }
        };
        let passed = match (self.watched || self.passed > 0, self.state.is_open()) {
            (true, _) => format!(", passed {}", self.passed),
            (false, true) => ", passed unknown".to_owned(),
            (false, false) => String::new(),
        };
        let when = match self.when.as_slice() {
            [When::Inline] | [] => String::new(),
            _ if self.delay_us > 0 => format!(", reactive {} ms", self.delay_us.div_ceil(1_000)),
            _ => ", reactive".to_owned(),
        };
        format!("blocked {}{passed}{last}{when}", self.blocked)
    }

    /// Whether it does what it says, as far as is known: nothing passes it, and what has to be closed is.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let reactive = self.when.contains(&When::Reactive);
        if reactive { self.watched && (self.passed == 0 || self.blocked > 0) } else { self.passed == 0 }
    }

    /// A policy of which nothing is known yet.
    #[must_use]
    pub fn of(id: u32, state: State) -> Self {
        Self {
            id,
            name: String::new(),
            scope: String::new(),
            what: String::new(),
            backend: String::new(),
            state,
            when: Vec::new(),
            applied_ns: 0,
            deadline_ns: 0,
            reason: String::new(),
            finding: String::new(),
            by: String::new(),
            blocked: 0,
            passed: 0,
            closed: 0,
            watched: false,
            undecided: 0,
            within_rate: 0,
            last_ns: 0,
            took_us: 0,
            delay_us: 0,
            callers: Vec::new(),
            trouble: Vec::new(),
            policy: None,
        }
    }

    /// Whether the workload of this id is called less because of it: what a graph or tree marks.
    #[must_use]
    pub const fn is_in_force(&self) -> bool {
        matches!(self.state, State::Active | State::Unknown)
    }
}
