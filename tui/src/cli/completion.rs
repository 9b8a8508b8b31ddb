//! Completion as `kubectl` asks for it: a program `kubectl_complete-apisec` is given the words so far and answers with
//! candidates, one a line, and a last line that says what the shell may add (cobra's directives).
//!
//! It knows the command line and asks no cluster: names of pods and nodes are not completed.

use clap::{Arg, Command};
use std::ffi::OsString;

/// The shell may complete files.
const FILES: &str = ":0\n";
/// It may not.
const NOTHING_ELSE: &str = ":4\n";

/// What may stand for the last word; the words are those behind `kubectl apisec`.
pub(super) fn complete(mut command: Command, words: &[OsString]) -> String {
    command.build();
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
    let mut at = &command;
    for word in before {
        at = at.get_subcommands().find(|sub| sub.get_name() == *word).unwrap_or(at);
    }
    if let Some(flag) = before.last().and_then(|word| valued(at, word)) {
        let values = flag.get_possible_values();
        let names =
            values.iter().map(|value| value.get_name().to_owned()).filter(|name| name.starts_with(last));
        let names: Vec<String> = names.collect();
        return if names.is_empty() { FILES.into() } else { listed(names) };
    }
    if last.starts_with('-') {
        let flags = at.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(Arg::get_long);
        return listed(flags.map(|long| format!("--{long}")).filter(|flag| flag.starts_with(last)));
    }
    listed(at.get_subcommands().map(|sub| sub.get_name().to_owned()).filter(|name| name.starts_with(last)))
}

/// The flag that a word is, if a value has to follow it.
fn valued<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let short = word.strip_prefix('-').filter(|name| name.len() == 1).and_then(|name| name.chars().next());
    let is = |flag: &&Arg| {
        let long = word.strip_prefix("--").is_some_and(|name| flag.get_long() == Some(name));
        long || short.is_some() && flag.get_short() == short
    };
    command.get_arguments().find(is).filter(|flag| flag.get_action().takes_values())
}

fn listed(candidates: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for candidate in candidates {
        text.push_str(&candidate);
        text.push('\n');
    }
    text.push_str(NOTHING_ELSE);
    text
}

#[cfg(test)]
mod tests {
    use super::super::plugin;
    use super::*;

    fn asked(words: &[&str]) -> String {
        complete(plugin(), &words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_flags_and_values_are_completed() {
        assert_eq!(asked(&["doc"]), "doctor\n:4\n");
        assert_eq!(asked(&["doctor", "--agent-n"]), "--agent-namespace\n:4\n");
        assert_eq!(asked(&["--output", "nd"]), "ndjson\n:4\n");
        assert_eq!(asked(&["--kubeconfig", ""]), ":0\n");
        assert!(asked(&["print", ""]).contains("rbac\n"));
        assert_eq!(asked(&["some-pod", "x"]), ":4\n");
    }
}
