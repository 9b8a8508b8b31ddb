//! The operator's keys: every context, action and key must exist.

use super::{Mistake, nearest};
use crate::action::Action;
use crate::event::Chord;
use crate::keymap::Keymap;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The first thing in `keys` that means nothing.
pub(super) fn first_mistake(keys: &DeTable<'_>) -> Option<Mistake> {
    let (keymap, _built_in) = Keymap::load(&BTreeMap::new());
    let contexts: Vec<&str> = keymap.contexts().map(|(name, _)| name).collect();
    keys.iter().find_map(|(name, actions)| {
        if !contexts.contains(&&**name.get_ref()) {
            return Some(unknown("context of keys", name, contexts.iter().copied()));
        }
        actions.get_ref().as_table()?.iter().find_map(|(name, keys)| action(name, keys))
    })
}

fn action(name: &Spanned<std::borrow::Cow<'_, str>>, keys: &Spanned<DeValue<'_>>) -> Option<Mistake> {
    if Action::parse(name.get_ref()).is_none() {
        let names: Vec<String> = Action::all().filter_map(|action| action.name()).collect();
        return Some(unknown("action", name, names.iter().map(String::as_str)));
    }
    let Some(keys) = keys.get_ref().as_array() else {
        return Some(Mistake {
            span: keys.span(),
            message: format!("the keys of `{}` are a list of texts", name.get_ref()),
            remedy: format!("write {} = [\"x\", \"ctrl-x\"]", name.get_ref()),
        });
    };
    keys.iter().find_map(|key| {
        let text = key.get_ref().as_str();
        let known = text.is_some_and(|text| Chord::parse(text).is_some());
        (!known).then(|| Mistake {
            span: key.span(),
            message: format!("`{}` is no key", text.unwrap_or("this")),
            remedy: "keys look like x, X, ctrl-x, alt-enter, shift-tab, f5, space; the others: apisec-top print keys".into(),
        })
    })
}

fn unknown<'a>(
    what: &str,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    names: impl Iterator<Item = &'a str>,
) -> Mistake {
    let remedy = match nearest(name.get_ref(), names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "what there is: apisec-top print keys".into(),
    };
    Mistake { span: name.span(), message: format!("there is no {what} `{}`", name.get_ref()), remedy }
}
