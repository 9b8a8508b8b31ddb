//! Whoever tells us twice to end does not want to wait: the second SIGINT or SIGTERM ends the program at once, without
//! its result. The kernel takes everything back by itself.

use crate::exit::{Exit, Failure};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Words that come closer together are one: `timeout` tells the program, and then its whole process group.
const ONE_WORD: Duration = Duration::from_millis(500);

/// The ear for a second word.
pub struct Insistence {
    heeded: Arc<AtomicBool>,
}

impl Insistence {
    /// Listens from now on, until the program ends. What a first word does is not decided here.
    ///
    /// # Errors
    /// The system gives us no thread, or no pipe.
    pub fn listen() -> Result<Self, Failure> {
        let refused =
            |error| Failure::new(format!("signals cannot be received: {error}"), "ulimit -n\nulimit -u");
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
        let heeded = Arc::new(AtomicBool::new(true));
        let unheeded = heeded.clone();
        let body = move || {
            let mut words = Words::default();
            for signal in signals.forever() {
                if words.insists(Instant::now(), unheeded.swap(false, Ordering::Relaxed)) {
                    low_level::exit(
                        if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated } as i32
                    );
                }
            }
        };
        thread::Builder::new().name("apisec-signals".into()).spawn(body).map_err(refused)?;
        Ok(Self { heeded })
    }

    /// What was said until now has had its effect: the next word is a first one.
    pub fn heed(&self) {
        self.heeded.store(true, Ordering::Relaxed);
    }
}

/// The words that were heard.
#[derive(Default)]
struct Words {
    first: Option<Instant>,
}

impl Words {
    /// Whether a word that is heard now is a second one; `heeded` when those before have had their effect.
    fn insists(&mut self, now: Instant, heeded: bool) -> bool {
        match self.first {
            Some(first) if !heeded => now.duration_since(first) >= ONE_WORD,
            _ => {
                self.first = Some(now);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_word_counts_unless_the_first_had_its_effect_or_it_is_the_same() {
        let now = Instant::now();
        let mut words = Words::default();
        assert!(!words.insists(now, true));
        assert!(!words.insists(now + ONE_WORD / 2, false), "an echo");
        assert!(words.insists(now + ONE_WORD, false));
        assert!(!words.insists(now + ONE_WORD * 2, true), "a first word again");
        assert!(words.insists(now + ONE_WORD * 3, false));
    }
}
