//! The settings file: what it may say, where it is, and errors that name the line and the nearest word.
//!
//! `config/default.toml` is the documentation and the list of valid names at once; a test holds it against
//! [`Config`].

mod detectors;
mod keys;

pub use apisec_engine::nearest::nearest;

use crate::cli::{NAME, Span};
use crate::exit::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The commented default, as `apisec-top print config` prints it.
pub const DEFAULT: &str = include_str!("config/default.toml");

/// Largest settings file that is read; ours is some two kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// The table of detectors, whose names are those of the detectors and of their settings.
const DETECT: &str = "detect";

/// The table of what is answered without a person, whose names are those of detectors, or `any`.
const RESPOND: &str = "respond";

/// The table of what names callers, whose names are those of services.
const IDENTITY: &str = "identity";

/// The table of keys, whose names are those of the keymap.
const KEYS: &str = "keys";

/// The settings file. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the theme.
    pub theme: Option<String>,
    /// Plain text for screen readers.
    pub plain: Option<bool>,
    /// ASCII only.
    pub ascii: Option<bool>,
    /// Refuse what changes anything.
    pub read_only: Option<bool>,
    /// Shortest time between two pictures.
    pub interval: Option<Span>,
    /// State folder; empty keeps nothing.
    pub state: Option<PathBuf>,
    /// Specifications: `[SERVICE=]PATH`.
    pub specs: Vec<String>,
    /// Idle time after which a documented operation counts as a zombie.
    pub zombie_after: Option<Span>,
    /// File with what findings are not to be told of.
    pub suppressions: Option<PathBuf>,
    /// Severity from which on a new finding rings the terminal's bell.
    pub bell: Option<String>,
    /// Where findings go.
    pub send: Send,
    /// Findings of which detectors are answered without a person, by the detector's name.
    pub respond: BTreeMap<String, Reaction>,
    /// What was set of detectors.
    pub detect: BTreeMap<String, BTreeMap<String, Knob>>,
    /// What names the callers of a service, by its id: `header NAME`, `cookie NAME`, `claim NAME`.
    pub identity: BTreeMap<String, String>,
    /// What we may cost.
    pub budget: Budget,
    /// What we keep at most.
    pub limits: Caps,
    /// Key overrides: what the keymap makes of them is its business.
    pub keys: BTreeMap<String, toml::Value>,
}

/// Where findings go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Send {
    /// Places, as `KIND:ADDRESS`.
    pub to: Vec<String>,
    /// Severity from which on they are sent.
    pub least: Option<String>,
    /// File with the token of web hooks and collectors.
    pub token_file: Option<PathBuf>,
    /// File with the certificates of authorities.
    pub ca: Option<PathBuf>,
}

/// How a finding is answered without a person.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reaction {
    /// Severity from which on.
    pub severity: Option<String>,
    /// How long a policy lasts.
    pub ttl: Option<Span>,
    /// Policies in an hour.
    pub per_hour: Option<u32>,
}

/// What we may cost.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Share of one core above which work is shed.
    pub cpu_share: Option<f64>,
    /// Bodies that are read whole, per endpoint and minute.
    pub sample_bodies: Option<u32>,
}

/// What we keep at most.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// Connections that are followed at the same time.
    pub connections: Option<usize>,
    /// Endpoints.
    pub endpoints: Option<usize>,
    /// Workloads.
    pub workloads: Option<usize>,
    /// Calls that are listed one by one.
    pub calls: Option<usize>,
}

/// What a detector is set to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Knob {
    /// On or off.
    Switch(bool),
    /// A number.
    Number(f64),
}

impl Config {
    /// Reads the file that was named, or the usual one if it exists.
    ///
    /// # Errors
    /// A file that was named is absent, cannot be read, or says something that is not understood.
    pub fn load(named: Option<&Path>) -> Result<Self, Failure> {
        match named {
            Some(path) => Self::parse(&read(path).map_err(|error| unreadable(path, &error))?, path),
            None => match usual_path() {
                Some(path) => match read(&path) {
                    Ok(text) => Self::parse(&text, &path),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
                    Err(error) => Ok(Self::unread(&path, &error)),
                },
                None => Ok(Self::default()),
            },
        }
    }

    /// Nobody asked for this file, as with a `HOME` that is somebody else's: said, and no reason to stop.
    fn unread(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        let _closed = writeln!(
            io::stderr(),
            "{NAME}: settings file {path} cannot be read ({error}); the defaults hold"
        );
        Self::default()
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let complain = |span: Option<Range<usize>>, message: &str, remedy: String| {
            let (line, column) = position(text, span.map_or(0, |span| span.start));
            Failure::usage(format!("{}:{line}:{column}: {message}", path.display()), remedy)
        };
        let table = DeTable::parse(text)
            .map_err(|error| complain(error.span(), error.message(), "apisec-top print config".into()))?;
        if let Some(Mistake { span, message, remedy }) = first_mistake(table.get_ref()) {
            return Err(complain(Some(span), &message, remedy));
        }
        toml::from_str(text)
            .map_err(|error| complain(error.span(), error.message(), "apisec-top print config".into()))
    }
}

/// Something in the file that means nothing.
struct Mistake {
    span: Range<usize>,
    message: String,
    remedy: String,
}

fn first_mistake(table: &DeTable<'_>) -> Option<Mistake> {
    let known_text = example();
    let known = DeTable::parse(&known_text).ok()?;
    unknown_in(table, known.get_ref())
}

fn unknown_in(table: &DeTable<'_>, known: &DeTable<'_>) -> Option<Mistake> {
    table.iter().find_map(|(key, value)| {
        let name = &**key.get_ref();
        match (known.get(name), value.get_ref().as_table()) {
            (None, _) => Some(unknown(name, key.span(), known)),
            (Some(_), Some(own)) if name == KEYS => keys::first_mistake(own),
            (Some(_), Some(own)) if name == DETECT => detectors::first_mistake(own),
            (Some(_), Some(own)) if name == RESPOND => detectors::first_unknown(own),
            (Some(_), Some(_)) if name == IDENTITY => None,
            (Some(known), _) => tables(value, known).and_then(|(table, known)| unknown_in(table, known)),
        }
    })
}

fn unknown(name: &str, span: Range<usize>, known: &DeTable<'_>) -> Mistake {
    let remedy = match nearest(name, known.keys().map(|name| &**name.get_ref())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "what there is: apisec-top print config".into(),
    };
    Mistake { span, message: format!("there is no setting `{name}`"), remedy }
}

fn tables<'a, 'b>(
    left: &'a Spanned<DeValue<'_>>,
    right: &'b Spanned<DeValue<'_>>,
) -> Option<(&'a DeTable<'a>, &'b DeTable<'b>)> {
    left.get_ref().as_table().zip(right.get_ref().as_table())
}

/// The default with every setting switched on.
fn example() -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    DEFAULT.lines().map(switch_on).collect()
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    (line, column)
}

/// `$XDG_CONFIG_HOME/apisec-top/config.toml`, or the same under `~/.config`.
fn usual_path() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(folder.join("apisec-top/config.toml"))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let remedy = "check --config (or APISEC_TOP_CONFIG)\napisec-top print config prints a file to start from";
    Failure::usage(format!("settings file {} cannot be read: {error}", path.display()), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("config.toml")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_default_is_all_comments() {
        assert_eq!(parse(DEFAULT), Ok(Config::default()));
    }

    #[test]
    fn the_default_shows_every_setting() {
        let shown = parse(&example()).unwrap();
        let Config {
            theme,
            plain,
            ascii,
            read_only,
            interval,
            state,
            specs,
            zombie_after,
            suppressions,
            bell,
            send,
            respond,
            detect,
            identity,
            budget,
            limits,
            keys: _,
        } = shown;
        assert!(!specs.is_empty() && zombie_after.is_some());
        assert!(theme.is_some() && plain.is_some() && ascii.is_some() && read_only.is_some());
        assert!(budget.cpu_share.is_some() && budget.sample_bodies.is_some());
        assert!(
            !send.to.is_empty() && send.least.is_some() && send.token_file.is_some() && send.ca.is_some()
        );
        assert!(suppressions.is_some() && bell.is_some());
        let Reaction { severity, ttl, per_hour } = &respond["bola-enumeration"];
        assert!(severity.is_some() && ttl.is_some() && per_hour.is_some());
        assert_eq!(detect["bola-enumeration"]["enabled"], Knob::Switch(true));
        assert_eq!(identity["process:shop:8080"], "claim uid");
        let Caps { connections, endpoints, workloads, calls } = limits;
        assert!([connections, endpoints, workloads, calls].iter().all(Option::is_some));
        assert!(interval.is_some() && state.is_some() && example().contains("[keys.global]"));
    }

    #[test]
    fn an_unknown_name_is_placed_and_the_nearest_one_named() {
        insta::assert_snapshot!(parse("plain = true\nthme = \"dark\"\n").unwrap_err(), @r"
        config.toml:2:1: there is no setting `thme`
          → did you mean `theme`?
        ");
        insta::assert_snapshot!(parse("[walrus]\nx = 1\n").unwrap_err(), @r"
        config.toml:1:2: there is no setting `walrus`
          → what there is: apisec-top print config
        ");
    }

    #[test]
    fn a_wrong_value_is_placed() {
        insta::assert_snapshot!(parse("plain = \"yes\"").unwrap_err());
        insta::assert_snapshot!(parse("\ninterval = \"soon\"").unwrap_err());
        insta::assert_snapshot!(parse("theme = ").unwrap_err());
    }

    #[test]
    fn keys_are_checked_against_the_keymap() {
        assert_eq!(parse("[keys.global]\nquit = [\"Q\", \"ctrl-q\"]").unwrap().keys.len(), 1);
        for (text, expected) in [
            (
                "[keys.globl]\nquit = [\"Q\"]",
                "config.toml:1:7: there is no context of keys `globl`\n  → did you mean `global`?",
            ),
            (
                "[keys.global]\nqit = [\"Q\"]",
                "config.toml:2:1: there is no action `qit`\n  → did you mean `quit`?",
            ),
            ("[keys.global]\nquit = \"Q\"", "config.toml:2:8: the keys of `quit` are a list of texts"),
            ("[keys.global]\nquit = [\"Q\", \"ctlr-q\"]", "config.toml:2:14: `ctlr-q` is no key"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn detectors_are_checked_against_those_that_there_are() {
        let config =
            parse("[detect.ssrf]\nenabled = false\n[detect.bola-enumeration]\nobjects = 80").unwrap();
        assert_eq!(config.detect["bola-enumeration"]["objects"], Knob::Number(80.0));
        for (text, expected) in [
            (
                "[detect.ssfr]\nenabled = false",
                "config.toml:1:9: there is no detector `ssfr`\n  → did you mean `ssrf`?",
            ),
            (
                "[detect.bola-enumeration]\nobject = 80",
                "config.toml:2:1: `bola-enumeration` has no setting `object`\n  → did you mean `objects`?",
            ),
            (
                "[respond.ssfr]\nttl = \"1m\"",
                "config.toml:1:10: there is no detector `ssfr`\n  → did you mean `ssrf`?",
            ),
            ("[detect.ssrf]\nenabled = 1", "config.toml:2:11: `enabled` is true or false"),
            ("[detect.bola-enumeration]\nobjects = \"80\"", "config.toml:2:11: `objects` is a number"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let failure = Config::load(Some(Path::new("/nonexistent/config.toml"))).unwrap_err();
        assert_eq!(failure.exit, crate::exit::Exit::Usage);
    }
}
