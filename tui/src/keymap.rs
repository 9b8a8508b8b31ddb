//! Keys as data: which key means which action, by context. No other file of the terminal knows a key.

use crate::action::Action;
use crate::event::Chord;
use std::collections::BTreeMap;

/// The keymap that is built in.
pub const DEFAULT: &str = include_str!("keymap.toml");

/// Keys of every context.
#[derive(Clone, Debug, Default)]
pub struct Keymap {
    contexts: BTreeMap<String, Vec<Binding>>,
}

/// The keys of one action in one context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What they do.
    pub action: Action,
    /// The keys, the one to show first.
    pub chords: Vec<Chord>,
}

type Tables = BTreeMap<String, BTreeMap<String, Vec<String>>>;

impl Keymap {
    /// The default keymap with the operator's own file merged over it, and what was not understood in that file.
    #[must_use]
    pub fn load(own: &BTreeMap<String, toml::Value>) -> (Self, Vec<String>) {
        let mut map = Self::default();
        let mut warnings = Vec::new();
        match toml::from_str::<Tables>(DEFAULT) {
            Ok(tables) => map.merge(tables, &mut warnings),
            Err(error) => warnings.push(format!("keymap: {error}")),
        }
        for (context, table) in own {
            match table.clone().try_into::<BTreeMap<String, Vec<String>>>() {
                Ok(entries) => map.merge(Tables::from([(context.clone(), entries)]), &mut warnings),
                Err(error) => warnings.push(format!("keymap: [{context}] {error}")),
            }
        }
        (map, warnings)
    }

    /// What `chord` means in the nearest of `contexts`.
    #[must_use]
    pub fn action(&self, contexts: &[&str], chord: Chord) -> Option<&Action> {
        contexts.iter().find_map(|context| {
            self.bindings(context).iter().find(|binding| binding.chords.contains(&chord)).map(|b| &b.action)
        })
    }

    /// The key to show for `action` in the nearest of `contexts`; none when a nearer context uses the key otherwise.
    #[must_use]
    pub fn chord(&self, contexts: &[&str], action: &Action) -> Option<Chord> {
        self.chords(contexts, action).next()
    }

    /// Every key that means `action` in the nearest of `contexts`.
    pub fn chords(&self, contexts: &[&str], action: &Action) -> impl Iterator<Item = Chord> {
        let bindings =
            contexts.iter().filter_map(|context| self.bindings(context).iter().find(|b| b.action == *action));
        bindings
            .flat_map(|b| &b.chords)
            .copied()
            .filter(|chord| self.action(contexts, *chord) == Some(action))
    }

    /// The contexts that exist, with their bindings.
    pub fn contexts(&self) -> impl Iterator<Item = (&str, &[Binding])> {
        self.contexts.iter().map(|(name, bindings)| (name.as_str(), bindings.as_slice()))
    }

    fn bindings(&self, context: &str) -> &[Binding] {
        self.contexts.get(context).map_or(&[], Vec::as_slice)
    }

    fn merge(&mut self, tables: Tables, warnings: &mut Vec<String>) {
        for (context, entries) in tables {
            for (name, keys) in entries {
                let Some(action) = Action::parse(&name) else {
                    warnings.push(format!("keymap: unknown action `{name}` in [{context}]"));
                    continue;
                };
                let chords = keys.iter().filter_map(|key| parse(key, &context, warnings)).collect();
                self.bind(&context, Binding { action, chords });
            }
        }
    }

    /// Gives the keys of `binding` to its action and takes them from every other action of the context.
    fn bind(&mut self, context: &str, binding: Binding) {
        let bindings = self.contexts.entry(context.to_owned()).or_default();
        bindings.retain(|old| old.action != binding.action);
        for old in bindings.iter_mut() {
            old.chords.retain(|chord| !binding.chords.contains(chord));
        }
        bindings.push(binding);
    }
}

fn parse(key: &str, context: &str, warnings: &mut Vec<String>) -> Option<Chord> {
    let chord = Chord::parse(key);
    if chord.is_none() {
        warnings.push(format!("keymap: unknown key `{key}` in [{context}]"));
    }
    chord
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::VIEWS;
    use std::collections::HashMap;

    fn own(text: &str) -> BTreeMap<String, toml::Value> {
        toml::from_str(text).expect("valid TOML")
    }

    fn chord(text: &str) -> Chord {
        Chord::parse(text).expect("a key")
    }

    #[test]
    fn the_default_is_clean_and_reaches_every_action() {
        let (map, warnings) = Keymap::load(&BTreeMap::new());
        assert_eq!(warnings, Vec::<String>::new());
        for action in Action::all() {
            let bound =
                map.contexts().any(|(_, all)| all.iter().any(|b| b.action == action && !b.chords.is_empty()));
            assert!(bound, "no key for {action:?}");
        }
    }

    #[test]
    fn no_key_is_bound_twice_in_a_context() {
        let tables: Tables = toml::from_str(DEFAULT).expect("valid TOML");
        for (context, entries) in tables {
            let mut seen = HashMap::new();
            for (action, keys) in entries {
                for key in keys {
                    let before = seen.insert(key.clone(), action.clone());
                    assert!(before.is_none(), "[{context}] {key}: {action} and {before:?}");
                }
            }
        }
    }

    #[test]
    fn every_context_belongs_to_something() {
        let (map, _) = Keymap::load(&BTreeMap::new());
        for (context, _) in map.contexts() {
            let known = ["global", "list", "dialog", "input"].contains(&context)
                || VIEWS.iter().any(|v| v.name == context);
            assert!(known, "[{context}]");
        }
    }

    #[test]
    fn an_own_file_patches() {
        let (map, warnings) = Keymap::load(&own(
            "[global]\nquit = [\"Q\"]\nfreeze = [\"/\"]\nfly = [\"x\"]\nhelp = [\"ctrl-\"]",
        ));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(map.action(&["global"], chord("Q")), Some(&Action::Quit));
        assert_eq!(map.action(&["global"], chord("q")), None);
        assert_eq!(map.action(&["global"], chord("/")), Some(&Action::Freeze));
        assert_eq!(map.chord(&["global"], &Action::Filter), None);
    }

    #[test]
    fn a_nearer_context_wins() {
        let (map, _) = Keymap::load(&BTreeMap::new());
        assert_eq!(map.action(&["dialog"], chord("q")), Some(&Action::Close));
        assert_eq!(map.action(&["calls", "list", "global"], chord("q")), Some(&Action::Quit));
        assert_eq!(map.chord(&["calls", "list", "global"], &Action::Open), Some(chord("enter")));
    }

    #[test]
    fn a_broken_table_leaves_the_default() {
        let (map, warnings) = Keymap::load(&own("global = 3"));
        assert_eq!(warnings.len(), 1);
        assert_eq!(map.action(&["global"], chord("q")), Some(&Action::Quit));
    }
}
