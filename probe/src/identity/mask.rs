//! Command lines without their secrets. Masks too much rather than too little: a command line is shown
//! to help recognise a process, never to be run again.

use compact_str::CompactString;
use std::borrow::Cow;

/// Longest command line that is kept, in bytes.
pub(super) const MAX_COMMAND: usize = 256;
const MASK: &str = "***";

/// What follows one of these words, however it is decorated, is a secret.
const SECRET_WORDS: [&str; 20] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "access_key",
    "accesskey",
    "private-key",
    "private_key",
    "credential",
    "authorization",
    "cookie",
    "session",
    "signature",
    "bearer",
];
/// These are secrets only when the value follows at once: `--key=…` but not `--keyspace …`.
const SECRET_ENDINGS: [&str; 6] = ["pass", "key", "auth", "basic", "sig", "pw"];
/// Flags of known programs whose value is a secret or a body.
const PROGRAM_FLAGS: [(&str, &[&str]); 5] = [
    (
        "curl",
        &[
            "-u",
            "-U",
            "-d",
            "-F",
            "-b",
            "-E",
            "--user",
            "--proxy-user",
            "--data",
            "--json",
            "--form",
            "--data-raw",
            "--data-binary",
            "--data-urlencode",
            "--cert",
        ],
    ),
    ("wget", &["--user", "--post-data", "--body-data"]),
    ("ab", &["-A", "-P", "-C"]),
    ("redis-cli", &["-a"]),
    ("psql", &["-W"]),
];

/// What to do with what comes after a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Show,
    HideNext,
    HideRest,
}

/// The arguments (each followed by NUL) as one line of at most [`MAX_COMMAND`] bytes.
///
/// An argument that was cut when it was read is not shown: its beginning may not look like the secret it is.
pub(super) fn command_line(args: &[u8], cut: bool) -> CompactString {
    let mut args: Vec<&[u8]> = args.strip_suffix(b"\0").unwrap_or(args).split(|byte| *byte == 0).collect();
    if cut {
        args.pop();
    }
    let program = args.first().map(|first| basename(first)).unwrap_or_default();
    let flags = PROGRAM_FLAGS.iter().find(|(name, _)| *name == program).map_or(&[][..], |(_, flags)| flags);
    let mut line = String::new();
    let mut then = Then::Show;
    for arg in args {
        if line.len() > MAX_COMMAND {
            break;
        }
        then = push_argument(&mut line, &String::from_utf8_lossy(arg), flags, then);
    }
    bounded(&line)
}

fn push_argument(line: &mut String, arg: &str, flags: &[&str], mut then: Then) -> Then {
    if then != Then::Show {
        push(line, MASK);
        return Then::Show;
    }
    for token in arg.split_whitespace() {
        match then {
            Then::Show => then = push_token(line, token, flags),
            Then::HideNext => {
                push(line, MASK);
                then = Then::Show;
            }
            Then::HideRest => {
                push(line, MASK);
                return Then::Show;
            }
        }
    }
    then
}

fn push_token(line: &mut String, token: &str, flags: &[&str]) -> Then {
    if let Some((shown, then)) = secret_pair(token, flags) {
        push(line, &shown);
        return then;
    }
    let token = mask_url(token);
    let token = mask_userinfo(&token);
    push(line, &mask_random(&token));
    Then::Show
}

fn push(line: &mut String, text: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    line.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
}

/// `--password=x`, `token:x`, `--secret x`, `-px`, `Authorization: x`: what is shown, and what comes next.
fn secret_pair(token: &str, flags: &[&str]) -> Option<(String, Then)> {
    if flags.contains(&token) {
        return Some((token.to_owned(), Then::HideNext));
    }
    if let Some(flag) = flags.iter().find(|flag| token.starts_with(**flag)) {
        return Some((format!("{flag}{MASK}"), Then::Show));
    }
    if token == "-p" {
        return Some((token.to_owned(), Then::HideNext));
    }
    if token.starts_with("-p") {
        return Some((format!("-p{MASK}"), Then::Show));
    }
    let lower = token.to_ascii_lowercase();
    let end = key_end(&lower)?;
    match token.get(end..)?.char_indices().next() {
        Some((_, delimiter)) if token.len() > end + 1 => {
            Some((format!("{}{delimiter}{MASK}", token.get(..end)?), Then::Show))
        }
        Some((_, ':')) => Some((token.to_owned(), Then::HideRest)),
        Some(_) | None => Some((token.to_owned(), Then::HideNext)),
    }
}

/// Where the name of a secret ends: at its delimiter, or at the end of a flag or a scheme.
fn key_end(lower: &str) -> Option<usize> {
    let word = SECRET_WORDS.iter().filter_map(|word| Some(lower.find(word)? + word.len())).min();
    let after_word = word.and_then(|from| {
        let rest = lower.get(from..)?;
        let delimiter = rest.find(['=', ':']).map(|at| from + at);
        delimiter.or_else(|| (lower.starts_with('-') || rest.is_empty()).then_some(lower.len()))
    });
    let ending = SECRET_ENDINGS.iter().filter_map(|ending| ending_at(lower, ending)).min();
    match (after_word, ending) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn ending_at(lower: &str, ending: &str) -> Option<usize> {
    let plain = lower.trim_matches(['"', '\'']);
    if lower.starts_with('-') && plain.ends_with(ending) || plain == "basic" && ending == "basic" {
        return Some(lower.len());
    }
    lower.match_indices(ending).find_map(|(at, _)| {
        let end = at + ending.len();
        let rest = lower.get(end..)?;
        let quoted = rest.trim_start_matches(['"', '\'']);
        quoted.starts_with(['=', ':']).then_some(end + (rest.len() - quoted.len()))
    })
}

/// `scheme://user:secret@host/path?query` keeps scheme, host and path.
fn mask_url(token: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = token.split_once("://") else { return token.into() };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => authority.to_owned(),
    };
    let query = query.get(..1).map(|mark| format!("{mark}{MASK}")).unwrap_or_default();
    format!("{scheme}://{host}{path}{query}").into()
}

/// `user:secret@host` without a scheme.
fn mask_userinfo(token: &str) -> Cow<'_, str> {
    let Some((before, host)) = token.rsplit_once('@') else { return token.into() };
    match before.rsplit_once('/').map_or(before, |(_, last)| last).split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@{host}").into(),
        None => token.into(),
    }
}

/// Replaces every run that looks like a key, a token or a card number.
fn mask_random(token: &str) -> String {
    let mut shown = String::with_capacity(token.len());
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '=' | '-');
    let mut rest = token;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|c| !in_run(c)).unwrap_or(rest.len()));
        shown.push_str(if looks_random(run) { MASK } else { run });
        let (gap, next) = after.split_at(after.find(in_run).unwrap_or(after.len()));
        shown.push_str(gap);
        rest = next;
    }
    shown
}

/// Shortest run of letters and digits that is taken for a key.
const RANDOM_WORD: usize = 16;
/// Shortest run with other signs, or without digits, that is.
const RANDOM_RUN: usize = 24;
/// Shortest number that may be a card's.
const LONG_NUMBER: usize = 12;

/// How the head of every JWT begins: `{"` in base64.
const JWT: &str = "eyJ";

fn looks_random(run: &str) -> bool {
    run.starts_with(JWT)
        || run.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            let letters = word.len() - digits;
            word.len() >= RANDOM_WORD && digits >= 3 && letters >= 3 || letters == 0 && digits >= LONG_NUMBER
        })
        || run.len() >= RANDOM_RUN && class_changes(run) * 5 >= run.len() * 2
}

/// How often the kind of sign changes: nearly two of three times in random text, one of four in names.
fn class_changes(run: &str) -> usize {
    let class = |byte: u8| (byte.is_ascii_lowercase(), byte.is_ascii_uppercase(), byte.is_ascii_digit());
    run.as_bytes().windows(2).filter(|pair| matches!(pair, [a, b] if class(*a) != class(*b))).count()
}

fn basename(path: &[u8]) -> String {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(last).into_owned()
}

/// The longest prefix of whole characters within [`MAX_COMMAND`].
fn bounded(line: &str) -> CompactString {
    let mut end = line.len().min(MAX_COMMAND);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(args: &[&str]) -> String {
        command_line(args.join("\0").as_bytes(), false).into()
    }

    #[test]
    fn secrets_are_masked_in_every_dress() {
        for (args, expected) in [
            (&["mysqld", "--password=hunter2"][..], "mysqld --password=***"),
            (&["app", "--password", "hunter2", "--port", "80"], "app --password *** --port 80"),
            (&["mysql", "-phunter2", "-h", "db"], "mysql -p*** -h db"),
            (&["sshpass", "-p", "hunter2", "ssh", "db"], "sshpass -p *** ssh db"),
            (&["env", "DB_PASSWORD=hunter2", "app"], "env DB_PASSWORD=*** app"),
            (&["app", "token=abc"], "app token=***"),
            (&["app", "--tls-key=/etc/key.pem"], "app --tls-key=***"),
            (&["curl", "-u", "me:hunter2", "http://h/"], "curl -u *** http://h/"),
            (
                &["curl", "-H", "Authorization: Bearer abc def", "http://h/"],
                "curl -H Authorization: *** http://h/",
            ),
            (&["curl", "-H", "X-Api-Key: abc", "http://h/"], "curl -H X-Api-Key: *** http://h/"),
            (&["curl", "-d", "{\"card\":1}", "http://h/"], "curl -d *** http://h/"),
            (&["curl", "-dcard=1", "http://h/"], "curl -d*** http://h/"),
            (&["curl", "http://me:hunter2@h:80/a?q=personal"], "curl http://***@h:80/a?***"),
            (&["app", "postgres://u:p@db/x"], "app postgres://***@db/x"),
            (&["app", "me:hunter2@db"], "app me:***@db"),
            (
                &["sh", "-c", "mysql --password hunter2 && echo done"],
                "sh -c mysql --password *** && echo done",
            ),
            (&["app", "{\"password\":\"hunter2\"}"], "app {\"password\":***"),
            (&["app", "sk_live_51HxKq2eZvKYlo2C9xJ8"], "app ***"),
            (&["app", "3f2a9c1b2d4e5f60718293a4b5c6d7e8"], "app ***"),
            (&["app", "4111111111111111"], "app ***"),
            (
                &[
                    "app",
                    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
                ],
                "app ***.***.***",
            ),
            (&["redis-cli", "-a", "hunter2"], "redis-cli -a ***"),
        ] {
            assert_eq!(shown(args), expected);
        }
    }

    #[test]
    fn harmless_command_lines_are_whole() {
        for line in [
            "nginx: master process /usr/sbin/nginx -g daemon off;",
            "python3 -m http.server 8080",
            "/usr/lib/jvm/java-17-openjdk-amd64/bin/java -Xmx512m -jar /srv/orders-1.4.2-SNAPSHOT.jar",
            "node /srv/app/node_modules/.bin/next start",
            "java -cp /srv/lib/* org.springframework.boot.loader.JarLauncher",
            "wrk -t1 -c16 -d10s http://127.0.0.1:8080/api/users/42",
            "/usr/sbin/sshd -D",
        ] {
            assert_eq!(command_line(line.replace(' ', "\0").as_bytes(), false), line);
        }
    }

    #[test]
    fn a_cut_argument_is_not_shown() {
        assert_eq!(command_line(b"app\0--name\0abc", true), "app --name");
        assert_eq!(command_line(b"", true), "");
    }

    #[test]
    fn control_characters_do_not_pass() {
        assert_eq!(command_line(b"app\0\x1b[2J", false), "app ?[2J");
    }

    proptest! {
        #[test]
        fn no_secret_survives(
            secret in "[A-Za-z0-9!$%^*()]{6,40}",
            word in prop::sample::select(&SECRET_WORDS[..]),
            prefix in "(--|-|[A-Z]{1,4}_)?",
            shape in 0..4,
        ) {
            prop_assume!(!word.contains(&secret.to_lowercase()));
            let args = match shape {
                0 => format!("app\0{prefix}{word}={secret}"),
                1 => format!("app\0--{word}\0{secret}"),
                2 => format!("app\0-H\0X-{word}: {secret}"),
                _ => format!("app\0http://{word}:{secret}@host/"),
            };
            prop_assert!(!command_line(args.as_bytes(), false).contains(&secret));
        }

        #[test]
        fn long_keys_do_not_survive(key in "[A-Za-z0-9]{32,64}") {
            prop_assume!(key.bytes().filter(u8::is_ascii_digit).count() >= 3);
            let line = command_line(format!("app\0{key}").as_bytes(), false);
            prop_assert!(!line.contains(&key));
        }

        #[test]
        fn any_bytes_give_a_short_line(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in any::<bool>()) {
            let line = command_line(&bytes, cut);
            prop_assert!(line.len() <= MAX_COMMAND && !line.contains(char::is_control));
        }
    }
}
