//! The flags that `live`, `replay` and `demo` share.

use crate::cli::Span;
use crate::gate;
use crate::report::{self, Report};
use apisec_engine::finding::Severity;
use clap::Args;
use clap::builder::BoolishValueParser;
use std::path::PathBuf;

/// What a run does with what it sees.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct RunOptions {
    /// Print instead of drawing; the default when standard output is not a terminal
    #[arg(long)]
    pub headless: bool,

    /// Stop after this long, such as 10s, 1m30s or 500ms
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Span>,

    /// What to print; implies --headless [default: table]
    #[arg(long, short, value_name = "FORMAT", value_parser = report::parser())]
    pub output: Option<&'static Report>,

    /// Show only what matches, such as `path:/cart* status>=500`
    ///
    /// Applies to the lines of ndjson and to the rows of json and table; totals stay whole. Fields (src, dst, method, operation,
    /// path, endpoint, host, proto, auth, id, note, vantage, query, drift, owner) contain what follows `:`, are what follows `=`,
    /// or match the regular expression that follows `~`; status and slow compare; ! | ( ) combine.
    #[arg(long, short, value_name = "EXPR")]
    pub filter: Option<String>,

    /// Specifications: a file, a folder or an address; may be given several times
    ///
    /// OpenAPI and Swagger (.json, .yaml), GraphQL schemas (.graphql), Protobuf files (.proto) and descriptor sets (.binpb,
    /// .pb). A specification is taken for that of a service by its servers, by a Protobuf service that answers, or by its
    /// title; SERVICE= says it outright (a workload's id or name, or a host), and so does the key bind in the view Drift. An
    /// address (http://, https://) is asked at the start and every minute; SSL_CERT_FILE names an authority that the system
    /// does not know. Files are read again when they change.
    #[arg(long, value_name = "[SERVICE=]PATH")]
    pub spec: Vec<String>,

    /// Count a documented operation as a zombie when it was idle for so long [default: 744h, a month]
    #[arg(long, value_name = "TIME")]
    pub zombie_after: Option<Span>,

    /// Read so many large bodies of each endpoint whole, per minute, up to 64 KiB each (0 to 1000) [default: 0]
    ///
    /// What their keys and types are is kept, never a value. Without it bodies are known as far as the first 4 to 8 KiB go.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub sample_bodies: Option<u32>,

    /// Fail (exit code 3) when there is such drift; prints SARIF unless --output says otherwise
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = gate::parser())]
    pub fail_on: Vec<String>,

    /// Also write every call, redacted, to this session file (read it with `apisec-top replay`)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Do not tell of the findings that this file names, each with a reason (`apisec-top print suppressions`)
    #[arg(long, value_name = "FILE")]
    pub suppress: Option<PathBuf>,

    /// Also send findings to this place, as KIND:ADDRESS; may be given several times
    ///
    /// syslog:udp://HOST:514, syslog:tcp://HOST:514, syslog:tls://HOST:6514, webhook:https://HOST/PATH,
    /// otlp:http://HOST:4318, ndjson:FILE, ocsf:FILE. What a place does not take waits in the state folder. The token
    /// of web hooks and collectors is read from --send-token-file, or from APISEC_TOP_SEND_TOKEN.
    #[arg(long, value_name = "KIND:ADDRESS")]
    pub send: Vec<String>,

    /// File that holds the token of web hooks and collectors
    #[arg(long, value_name = "FILE")]
    pub send_token_file: Option<PathBuf>,

    /// Certificates of the authorities that sign those of places [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub send_ca: Option<PathBuf>,

    /// Send findings of at least this severity [default: low]
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub send_least: Option<Severity>,

    /// Also hand metrics to a collector, as KIND:ADDRESS; may be given several times
    ///
    /// prometheus:ADDRESS:PORT to be asked at /metrics, otlp:http://HOST:4318 to be told every 15 s. Labels hold names of
    /// workloads, methods and path templates, at most 1,000 endpoints and 1,000 edges; no value of any call.
    #[arg(long, value_name = "KIND:ADDRESS")]
    pub metrics: Vec<String>,

    /// Policies that are applied here end with this program, however it ends; otherwise with their time
    #[arg(long)]
    pub detach_on_exit: bool,

    /// Where the key of this installation and your templating rules are kept
    /// [default: /var/lib/apisec-top as root, else ~/.local/state/apisec-top]
    #[arg(
        long,
        value_name = "DIR",
        env = "APISEC_TOP_STATE",
        hide_env_values = true,
        conflicts_with = "no_state"
    )]
    pub state: Option<PathBuf>,

    /// Keep nothing on disk; identities hash differently in every run
    #[arg(long)]
    pub no_state: bool,

    /// Settings file [default: ~/.config/apisec-top/config.toml]
    #[arg(long, value_name = "FILE", env = "APISEC_TOP_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// What the terminal looks like and allows.
    #[command(flatten)]
    pub looks: Looks,
}

/// What the terminal looks like and allows.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Terminal")]
pub struct Looks {
    /// Colours, by name (`apisec-top print themes`) or as a theme file
    #[arg(long, value_name = "NAME", env = "APISEC_TOP_THEME", hide_env_values = true)]
    pub theme: Option<String>,

    /// Plain text that a screen reader can follow: no drawing, no colour
    #[arg(long, env = "APISEC_TOP_PLAIN", hide_env_values = true, value_name = "yes|no", num_args = 0..=1, require_equals = true,
        default_missing_value = "yes", hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub plain: Option<bool>,

    /// Draw with ASCII characters only
    #[arg(long, env = "APISEC_TOP_ASCII", hide_env_values = true, value_name = "yes|no", num_args = 0..=1, require_equals = true,
        default_missing_value = "yes", hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub ascii: Option<bool>,

    /// Refuse every action that would change anything but the picture
    #[arg(long, env = "APISEC_TOP_READ_ONLY", hide_env_values = true, value_name = "yes|no", num_args = 0..=1, require_equals = true,
        default_missing_value = "yes", hide_possible_values = true, value_parser = BoolishValueParser::new())]
    pub read_only: Option<bool>,

    /// Shortest time between two pictures, 100ms to 10s [default: 100ms]
    #[arg(long, value_name = "TIME")]
    pub interval: Option<Span>,
}

/// Reads the word of a severity.
pub(crate) fn severity(word: &str) -> Result<Severity, String> {
    let found = Severity::ALL.iter().find(|(_, known)| *known == word).map(|(severity, _)| *severity);
    let words = || Severity::ALL.map(|(_, word)| word).join(", ");
    found.ok_or_else(|| format!("there are {}", words()))
}
