//! What the operator sets of detectors: every detector and setting must exist, and be of its kind.

use super::{Mistake, nearest};
use apisec_engine::detect::{self, About, DETECTORS};
use apisec_engine::policy::respond::ANY;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The setting that every detector has.
pub(crate) const ENABLED: &str = "enabled";

/// The first thing in `detectors` that means nothing.
pub(super) fn first_mistake(detectors: &DeTable<'_>) -> Option<Mistake> {
    detectors.iter().find_map(|(name, settings)| {
        let Some(detector) = detect::find(name.get_ref()) else {
            let ids = DETECTORS.iter().map(|detector| detector.about().id);
            let message = format!("there is no detector `{}`", name.get_ref());
            return Some(unknown(message, name, ids));
        };
        let own = settings.get_ref().as_table()?;
        own.iter().find_map(|(name, value)| setting(detector.about(), name, value))
    })
}

/// The first name among `rules` that is no detector, nor all of them.
pub(super) fn first_unknown(rules: &DeTable<'_>) -> Option<Mistake> {
    let name = rules.keys().find(|name| name.get_ref() != ANY && detect::find(name.get_ref()).is_none())?;
    let ids = DETECTORS.iter().map(|detector| detector.about().id).chain([ANY]);
    Some(unknown(format!("there is no detector `{}`", name.get_ref()), name, ids))
}

fn setting(about: &About, name: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Option<Mistake> {
    let wrong = |what: &str| Mistake {
        span: value.span(),
        message: format!("`{}` is {what}", name.get_ref()),
        remedy: "what can be set: apisec-top print detectors".into(),
    };
    match (&**name.get_ref(), value.get_ref()) {
        (ENABLED, DeValue::Boolean(_)) => None,
        (ENABLED, _) => Some(wrong("true or false")),
        (named, _) if about.settings.iter().all(|setting| setting.name != named) => {
            let names = about.settings.iter().map(|setting| setting.name).chain([ENABLED]);
            Some(unknown(format!("`{}` has no setting `{named}`", about.id), name, names))
        }
        (_, DeValue::Integer(_) | DeValue::Float(_)) => None,
        _ => Some(wrong("a number")),
    }
}

fn unknown<'a>(
    message: String,
    name: &Spanned<Cow<'_, str>>,
    names: impl Iterator<Item = &'a str>,
) -> Mistake {
    let remedy = match nearest(name.get_ref(), names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "what there is: apisec-top print detectors".into(),
    };
    Mistake { span: name.span(), message, remedy }
}
