//! What holds for a run: the command line over the environment over the settings file over the defaults.

use crate::cli::{RunOptions, severity};
use crate::config::{Caps, Config, Knob, Reaction, Send, nearest};
use crate::exit::Failure;
use crate::suppressions;
use crate::theme::{THEMES, Theme};
use apisec_engine::case::Settings as Detectors;
use apisec_engine::finding::Severity;
use apisec_engine::knowledge::ZOMBIE_AFTER;
use apisec_engine::limits::Limits;
use apisec_engine::policy::respond::{self, Rule};
use apisec_engine::suppression::Suppression;
use apisec_probe::attach::Bodies;
use apisec_probe::forward::Destination;
use apisec_probe::metrics::Collector;
use apisec_probe::pipeline::{Bounds, NamingSources};
use apisec_probe::spec::Request;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two pictures that can be asked for: a faster one cannot be read, a slower one looks dead.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);

/// Time between two pictures when nobody asked: ten a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// Share of one core above which work is shed when nobody asked: half of one.
const CPU_SHARE: f64 = 0.5;

/// Bodies per endpoint and minute that can be asked for: more is a recording, not a sample.
const MOST_BODIES: u32 = 1000;

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the theme; `None` lets the terminal decide.
    pub theme: Option<String>,
    /// Plain text for screen readers.
    pub plain: bool,
    /// ASCII only.
    pub ascii: bool,
    /// Refuse what changes anything.
    pub read_only: bool,
    /// Shortest time between two pictures.
    pub interval: Duration,
    /// State folder; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// Specifications.
    pub specs: Vec<Request>,
    /// Idle time after which a documented operation counts as a zombie.
    pub zombie_after: Duration,
    /// What was set of detectors.
    pub detectors: Detectors,
    /// What names the callers of which services.
    pub naming: NamingSources,
    /// What findings are not to be told of.
    pub suppressions: Vec<Suppression>,
    /// Severity from which on a new finding rings the bell.
    pub bell: Option<Severity>,
    /// Findings that are answered without a person.
    pub respond: Vec<Rule>,
    /// Where findings go.
    pub send: Vec<Destination>,
    /// Severity from which on they are sent.
    pub send_least: Severity,
    /// Who is given metrics.
    pub metrics: Vec<Collector>,
    /// Share of one core above which work is shed.
    pub cpu_share: f64,
    /// Bodies that are read whole, per endpoint and minute.
    pub sample_bodies: u32,
    /// What is kept at most.
    pub bounds: Bounds,
    /// Key overrides: contexts, in them actions with their keys.
    pub keys: BTreeMap<String, toml::Value>,
}

impl Settings {
    /// What the options and the settings file say together.
    ///
    /// # Errors
    /// The settings file is not understood, or a value is out of range.
    pub fn of(options: &RunOptions) -> Result<Self, Failure> {
        let config = Config::load(options.config.as_deref())?;
        let looks = &options.looks;
        Ok(Self {
            theme: looks.theme.clone().or(config.theme).map(theme).transpose()?,
            plain: looks.plain.or(config.plain).unwrap_or(false),
            ascii: looks.ascii.or(config.ascii).unwrap_or(false),
            read_only: looks.read_only.or(config.read_only).unwrap_or(false),
            interval: interval(looks.interval.or(config.interval).map(|span| span.0))?,
            state: state(options, config.state),
            specs: requests(&options.spec, config.specs),
            zombie_after: options
                .zombie_after
                .or(config.zombie_after)
                .map_or(Duration::from_nanos(ZOMBIE_AFTER), |span| span.0),
            detectors: detectors(&config.detect)?,
            naming: naming(config.identity)?,
            suppressions: suppressed(options.suppress.as_ref().or(config.suppressions.as_ref()))?,
            bell: config.bell.as_deref().map(|word| severity_of("bell", word)).transpose()?,
            respond: config.respond.iter().map(reaction).collect::<Result<_, _>>()?,
            send: destinations(options, &config.send)?,
            send_least: least(options, &config.send)?,
            metrics: collectors(options, &config.send)?,
            cpu_share: config.budget.cpu_share.map_or(Ok(CPU_SHARE), cpu_share)?,
            sample_bodies: sample_bodies(options.sample_bodies.or(config.budget.sample_bodies))?,
            bounds: bounds(&config.limits)?,
            keys: config.keys,
        })
    }
}

impl Settings {
    /// How much of bodies is read.
    #[must_use]
    pub const fn bodies(&self) -> Bodies {
        if self.sample_bodies > 0 { Bodies::Sampled } else { Bodies::Heads }
    }
}

/// What the command line names; the settings file counts where it names nothing.
fn requests(options: &[String], configured: Vec<String>) -> Vec<Request> {
    let named = if options.is_empty() { configured } else { options.to_vec() };
    named.iter().map(|text| Request::parse(text)).collect()
}

/// Where findings go; the settings file counts where the command line names nothing.
fn destinations(options: &RunOptions, configured: &Send) -> Result<Vec<Destination>, Failure> {
    let named = if options.send.is_empty() { &configured.to } else { &options.send };
    let token = options.send_token_file.as_ref().or(configured.token_file.as_ref());
    let authorities = options.send_ca.as_ref().or(configured.ca.as_ref());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let read = |text: &String| {
        Destination::parse(text, token.map(PathBuf::as_path), authorities.map(PathBuf::as_path), &host)
            .map_err(|why| {
                Failure::usage(format!("findings cannot be sent there: {why}"), "apisec-top live --help")
            })
    };
    named.iter().map(read).collect()
}

/// Who is given metrics.
fn collectors(options: &RunOptions, configured: &Send) -> Result<Vec<Collector>, Failure> {
    let token = options.send_token_file.as_ref().or(configured.token_file.as_ref());
    let authorities = options.send_ca.as_ref().or(configured.ca.as_ref());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let read = |text: &String| {
        Collector::parse(text, token.map(PathBuf::as_path), authorities.map(PathBuf::as_path), &host).map_err(
            |why| Failure::usage(format!("metrics cannot be handed there: {why}"), "apisec-top live --help"),
        )
    };
    options.metrics.iter().map(read).collect()
}

fn least(options: &RunOptions, configured: &Send) -> Result<Severity, Failure> {
    let named = configured.least.as_deref().map(|word| severity_of("send.least", word)).transpose()?;
    Ok(options.send_least.or(named).unwrap_or(Severity::Low))
}

fn severity_of(setting: &str, word: &str) -> Result<Severity, Failure> {
    severity(word).map_err(|why| Failure::usage(format!("{setting}: {why}"), "apisec-top print config"))
}

/// A rule; its detector's name was checked when the file was read.
fn reaction((detector, asked): (&String, &Reaction)) -> Result<Rule, Failure> {
    let setting = |name: &str| format!("respond.{detector}.{name}");
    let refused = |what: String, remedy: String| Failure::usage(what, remedy);
    let severity = asked.severity.as_deref().unwrap_or("high");
    let ttl = asked.ttl.as_ref().map_or(120, |span| span.0.as_secs());
    if !(1..=u64::from(respond::MAX_TTL)).contains(&ttl) {
        let remedy = format!("use 1s to {}m: then a person must have looked", respond::MAX_TTL / 60);
        return Err(refused(format!("{} is {ttl} s", setting("ttl")), remedy));
    }
    let per_hour = asked.per_hour.unwrap_or(3);
    if !(1..=respond::MAX_PER_HOUR).contains(&per_hour) {
        let remedy = format!("use 1 to {}", respond::MAX_PER_HOUR);
        return Err(refused(format!("{} is {per_hour}", setting("per_hour")), remedy));
    }
    Ok(Rule {
        detector: detector.clone(),
        severity: severity_of(&setting("severity"), severity)?,
        ttl: u32::try_from(ttl).unwrap_or(respond::MAX_TTL),
        per_hour,
    })
}

/// What was set of detectors; their names were checked when the file was read.
fn detectors(configured: &BTreeMap<String, BTreeMap<String, Knob>>) -> Result<Detectors, Failure> {
    let mut all = BTreeMap::new();
    for (detector, settings) in configured {
        for (name, knob) in settings {
            let value = match knob {
                Knob::Switch(on) => f64::from(u8::from(*on)),
                Knob::Number(number) if number.is_finite() && *number >= 0.0 => *number,
                Knob::Number(number) => {
                    let told = format!("detect.{detector}.{name} is {number}");
                    return Err(Failure::usage(told, "use 0 or more"));
                }
            };
            all.insert((detector.clone(), name.clone()), value);
        }
    }
    Ok(Detectors(all))
}

/// What names the callers of which services.
fn naming(configured: BTreeMap<String, String>) -> Result<NamingSources, Failure> {
    let read = |(service, text): (String, String)| match text.parse() {
        Ok(source) => Ok((service, source)),
        Err(why) => Err(Failure::usage(
            format!("identity.\"{service}\" is `{text}`: {why}"),
            "apisec-top print config",
        )),
    };
    configured.into_iter().map(read).collect::<Result<_, _>>().map(NamingSources)
}

fn suppressed(file: Option<&PathBuf>) -> Result<Vec<Suppression>, Failure> {
    file.map_or_else(|| Ok(Vec::new()), |file| suppressions::read(file))
}

/// A built-in theme or the path of one.
fn theme(name: String) -> Result<String, Failure> {
    if Theme::named(&name).is_some() || Path::new(&name).is_file() {
        return Ok(name);
    }
    Err(unknown_theme(&name))
}

/// The failure that names the nearest theme, or all of them.
pub(crate) fn unknown_theme(name: &str) -> Failure {
    let names = THEMES.iter().map(|(name, _)| *name);
    let remedy = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("there are: {}; a path of a theme file works too", names.collect::<Vec<_>>().join(", "))
        }
    };
    Failure::usage(format!("there is no theme `{name}`"), remedy)
}

fn interval(asked: Option<Duration>) -> Result<Duration, Failure> {
    match asked {
        None => Ok(INTERVAL),
        Some(asked) if INTERVALS.contains(&asked) => Ok(asked),
        Some(_) => Err(Failure::usage("the interval is out of range", "use --interval with 100ms to 10s")),
    }
}

fn sample_bodies(asked: Option<u32>) -> Result<u32, Failure> {
    match asked {
        Some(asked) if asked > MOST_BODIES => {
            Err(Failure::usage(format!("budget.sample_bodies is {asked}"), "use 0 (none) to 1000"))
        }
        asked => Ok(asked.unwrap_or(0)),
    }
}

fn cpu_share(asked: f64) -> Result<f64, Failure> {
    if (0.01..=1_024.0).contains(&asked) {
        return Ok(asked);
    }
    Err(Failure::usage(format!("budget.cpu_share is {asked}"), "use 0.01 (a hundredth of a core) to 1024.0"))
}

/// The least and the most of each: below nothing works, above the memory of a node is not enough.
const CONNECTIONS: RangeInclusive<usize> = 16..=1_048_576;
const ENDPOINTS: RangeInclusive<usize> = 64..=262_144;
const WORKLOADS: RangeInclusive<usize> = 16..=65_536;
const CALLS: RangeInclusive<usize> = 100..=2_000_000;

fn bounds(caps: &Caps) -> Result<Bounds, Failure> {
    let usual = Bounds::default();
    let within = |name: &str, asked: Option<usize>, usual: usize, range: RangeInclusive<usize>| match asked {
        Some(asked) if !range.contains(&asked) => Err(Failure::usage(
            format!("limits.{name} is {asked}"),
            format!("use {} to {}", range.start(), range.end()),
        )),
        asked => Ok(asked.unwrap_or(usual)),
    };
    Ok(Bounds {
        connections: within("connections", caps.connections, usual.connections, CONNECTIONS)?,
        engine: Limits::sized(
            within("endpoints", caps.endpoints, usual.engine.endpoints, ENDPOINTS)?,
            within("workloads", caps.workloads, usual.engine.workloads, WORKLOADS)?,
            within("calls", caps.calls, usual.engine.log_rows, CALLS)?,
        ),
    })
}

fn state(options: &RunOptions, configured: Option<PathBuf>) -> Option<PathBuf> {
    if options.no_state {
        return None;
    }
    match options.state.clone().or(configured) {
        Some(folder) => Some(folder).filter(|folder| !folder.as_os_str().is_empty()),
        None => usual_state(),
    }
}

fn usual_state() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/apisec-top".into());
    }
    let folder = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
    Some(folder.join("apisec-top"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Looks;

    fn options(config: &str, folder: &Path) -> RunOptions {
        let file = folder.join("config.toml");
        std::fs::write(&file, config).unwrap();
        RunOptions { config: Some(file), ..RunOptions::default() }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut options =
            options("theme = \"light\"\nplain = true\nascii = true\nstate = \"/a\"", folder.path());
        options.looks = Looks { theme: Some("mono".into()), plain: Some(false), ..Looks::default() };
        let settings = Settings::of(&options).unwrap();
        assert_eq!(settings.theme.as_deref(), Some("mono"));
        assert_eq!((settings.plain, settings.ascii), (false, true));
        assert_eq!(settings.state, Some("/a".into()));
        options.no_state = true;
        assert_eq!(Settings::of(&options).unwrap().state, None);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for config in [
            "interval = \"1ms\"",
            "interval = \"1h\"",
            "[budget]\ncpu_share = 0.0",
            "[budget]\ncpu_share = nan",
            "[limits]\nconnections = 0",
            "[limits]\nendpoints = 10000000",
        ] {
            assert!(Settings::of(&options(config, folder.path())).is_err(), "{config}");
        }
    }

    #[test]
    fn a_theme_has_a_name_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let with = |name: &str| Settings::of(&options(&format!("theme = {name:?}"), folder.path()));
        assert!(with("light").is_ok());
        assert!(with("drak").unwrap_err().to_string().contains("did you mean `dark`?"));
        assert!(with("walrus").unwrap_err().to_string().contains("high-contrast"));
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, "inherits = \"dark\"").unwrap();
        assert!(with(file.to_str().unwrap()).is_ok());
    }

    #[test]
    fn an_empty_state_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Settings::of(&options("state = \"\"", folder.path())).unwrap().state, None);
    }

    #[test]
    fn keys_are_handed_on() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::of(&options("[keys.global]\nquit = [\"Q\"]", folder.path())).unwrap();
        assert_eq!(settings.keys["global"]["quit"][0].as_str(), Some("Q"));
    }

    #[test]
    fn callers_are_named_by_what_the_operator_says() {
        let folder = tempfile::tempdir().unwrap();
        let of = |text: &str| Settings::of(&options(text, folder.path()));
        let settings = of("[identity]\n\"process:shop:80\" = \"claim uid\"\n\"*\" = \"cookie sid\"").unwrap();
        assert_eq!(settings.naming.of("process:shop:80").unwrap().to_string(), "claim uid");
        assert_eq!(settings.naming.of("process:users:80").unwrap().to_string(), "cookie sid");
        let failure = of("[identity]\n\"*\" = \"subject x\"").err().unwrap().to_string();
        assert!(failure.contains("none of header, cookie, claim"), "{failure}");
    }

    #[test]
    fn detectors_are_set_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = "bell = \"high\"\n[detect.ssrf]\nenabled = false\n[detect.bola-enumeration]\nobjects = 80";
        let settings = Settings::of(&options(text, folder.path())).unwrap();
        let about = |id: &str| apisec_engine::detect::find(id).unwrap().about();
        assert!(settings.detectors.silences(about("ssrf")) && !settings.detectors.silences(about("bfla")));
        assert_eq!(settings.detectors.get(about("bola-enumeration"), "objects"), 80.0);
        assert_eq!(settings.bell, Some(Severity::High));
        for wrong in ["bell = \"loud\"", "[detect.bola-enumeration]\nobjects = -1"] {
            assert!(Settings::of(&options(wrong, folder.path())).is_err(), "{wrong}");
        }
    }
}
