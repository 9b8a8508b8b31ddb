//! What people call a program: the script behind an interpreter, the name a process gave itself.

use compact_str::CompactString;

/// Longest name; longer ones are cut.
const MAX_NAME: usize = 64;
/// The kernel cuts `comm` here.
const COMM: usize = 15;
/// Arguments that are searched for a script: a Java command line can have hundreds of options.
const MAX_SEARCHED: usize = 1024;
/// Names that runtimes give their own main thread: they say nothing about the program.
const RUNTIME_THREADS: [&str; 4] = ["MainThread", "node-MainThread", "exe", "main"];

/// How an interpreter is told what to run.
struct Interpreter {
    /// Executables, without their version.
    names: &'static [&'static str],
    /// Options whose value is the next argument.
    valued: &'static [&'static str],
    /// Options whose value names the program.
    naming: &'static [&'static str],
    /// Options that bring the code with them: there is no script.
    code: &'static [&'static str],
    /// Words before the script.
    verbs: &'static [&'static str],
    /// Short options may be joined, as in `-lc`.
    joined: bool,
}

const PLAIN: Interpreter =
    Interpreter { names: &[], valued: &[], naming: &[], code: &[], verbs: &[], joined: false };

const INTERPRETERS: [Interpreter; 11] = [
    Interpreter {
        names: &["python", "pypy"],
        valued: &["-W", "-X"],
        naming: &["-m"],
        code: &["-c", "-"],
        joined: true,
        ..PLAIN
    },
    Interpreter {
        names: &["node", "nodejs"],
        valued: &["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"],
        code: &["-e", "--eval", "-p", "--print", "-"],
        ..PLAIN
    },
    Interpreter {
        names: &["java"],
        valued: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--add-modules",
            "--add-opens",
            "--add-exports",
            "--add-reads",
            "--limit-modules",
            "--upgrade-module-path",
            "--source",
        ],
        naming: &["-jar", "-m", "--module"],
        ..PLAIN
    },
    Interpreter {
        names: &["ruby"],
        valued: &["-I", "-r", "-C", "-E"],
        code: &["-e", "-"],
        joined: true,
        ..PLAIN
    },
    Interpreter { names: &["perl"], valued: &["-I"], code: &["-e", "-E", "-"], joined: true, ..PLAIN },
    Interpreter {
        names: &["php"],
        valued: &["-d", "-c", "-z", "-S", "-t"],
        naming: &["-f", "--file"],
        code: &["-r", "-a"],
        ..PLAIN
    },
    Interpreter {
        names: &["sh", "bash", "dash", "ash", "zsh", "ksh"],
        valued: &["-o", "-O", "--rcfile", "--init-file"],
        code: &["-c", "-s"],
        joined: true,
        ..PLAIN
    },
    Interpreter {
        names: &["deno"],
        valued: &["-c", "--config", "--import-map"],
        code: &["eval", "repl"],
        verbs: &["run", "serve", "task"],
        ..PLAIN
    },
    Interpreter { names: &["bun"], code: &["-e", "--eval", "-p"], verbs: &["run", "x"], ..PLAIN },
    Interpreter { names: &["dotnet"], naming: &["--project"], verbs: &["exec", "run"], ..PLAIN },
    Interpreter { names: &["busybox", "lua"], ..PLAIN },
];

/// The name of the program with this executable path, main thread and arguments; never empty.
pub(super) fn name(exe: &str, comm: &str, args: &[u8]) -> CompactString {
    let words: Vec<_> =
        args.split(|byte| *byte == 0).take(MAX_SEARCHED).map(String::from_utf8_lossy).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let executed = if exe.is_empty() { executed_name(comm, &words) } else { basename(exe) };
    let given = given_name(executed, comm, &words);
    let interpreter = interpreter(comm).or_else(|| interpreter(executed));
    let name = match (given, interpreter) {
        (Some(given), None) => given,
        (given, Some(interpreter)) => given
            .or_else(|| script(interpreter, &words))
            .unwrap_or_else(|| if is_technical(comm) { executed } else { comm }),
        (None, None) => executed,
    };
    clean(name)
}

/// The name that the process, or who started it, chose on purpose: `prctl`, `exec -a`, a title, a link.
fn given_name<'a>(exe: &str, comm: &'a str, words: &[&'a str]) -> Option<&'a str> {
    let usual =
        |name: &str| name.is_empty() || name == exe || name == cut(exe) || interpreter(name).is_some();
    if !usual(comm) && !is_technical(comm) {
        let title = words.first().map(|word| first_word(word)).unwrap_or_default();
        let longer = comm.len() == COMM && basename(title).starts_with(comm);
        return Some(if longer { basename(title) } else { first_word(comm) });
    }
    let title = first_word(words.first()?.trim_start_matches('-'));
    (!title.contains('/') && !usual(title)).then_some(title)
}

/// A number is what `fexecve` leaves of the name.
fn is_technical(comm: &str) -> bool {
    RUNTIME_THREADS.contains(&comm) || comm.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without the executable's path: `comm`, completed by the first argument when it was cut.
fn executed_name<'a>(comm: &'a str, words: &[&'a str]) -> &'a str {
    let first = words.first().map(|word| basename(word)).unwrap_or_default();
    let completes = comm.is_empty() || comm.len() == COMM && first.starts_with(comm);
    if completes { first } else { comm }
}

fn interpreter(name: &str) -> Option<&'static Interpreter> {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.iter().find(|interpreter| interpreter.names.contains(&bare))
}

/// What the arguments tell the interpreter to run.
fn script<'a>(interpreter: &Interpreter, words: &[&'a str]) -> Option<&'a str> {
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if interpreter.naming.contains(word) {
            return rest.next().map(|value| basename(value));
        }
        if interpreter.code.iter().any(|code| is_option(word, code, interpreter.joined)) {
            return None;
        }
        if interpreter.naming.iter().any(|naming| is_option(word, naming, interpreter.joined)) {
            return rest.next().map(|value| basename(value));
        }
        if interpreter.valued.contains(word) {
            rest.next();
        } else if !word.starts_with(['-', '@']) && !interpreter.verbs.contains(word) && !word.is_empty() {
            return Some(script_name(word));
        }
    }
    None
}

/// `-c`, or `-lc` where short options may be joined.
fn is_option(word: &str, option: &str, joined: bool) -> bool {
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-') && letters.len() <= 4);
    let last = option.strip_prefix('-').filter(|last| last.len() == 1);
    word == option
        || joined && matches!((letters, last), (Some(letters), Some(last)) if letters.ends_with(last))
}

/// A package's `__main__.py` is known by its folder.
fn script_name(path: &str) -> &str {
    match path.strip_suffix("/__main__.py") {
        Some(folder) => basename(folder),
        None => basename(path),
    }
}

fn basename(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn first_word(title: &str) -> &str {
    title.split([' ', ':', '\t', '\n']).find(|word| !word.is_empty()).unwrap_or_default()
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(COMM);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

/// A name can be any bytes; in an id it must not look like another part of it.
fn clean(name: &str) -> CompactString {
    let harmless =
        |c: char| if c.is_control() || c.is_whitespace() || matches!(c, ':' | '@' | '/') { '_' } else { c };
    let mut clean = CompactString::default();
    for c in name.chars().map(harmless) {
        if clean.len() + c.len_utf8() > MAX_NAME {
            break;
        }
        clean.push(c);
    }
    if clean.is_empty() { CompactString::const_new("unknown") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_as_people_name_them() {
        for (exe, comm, args, expected) in [
            ("/usr/sbin/nginx", "nginx", &["nginx: master process /usr/sbin/nginx"][..], "nginx"),
            ("/usr/sbin/nginx", "nginx", &["nginx: worker process"], "nginx"),
            ("/usr/bin/curl", "curl", &["curl", "http://h/"], "curl"),
            ("/usr/bin/python3.11", "python3", &["python3", "-m", "http.server", "80"], "http.server"),
            ("/usr/bin/python3.11", "python3", &["python3", "-um", "http.server"], "http.server"),
            ("/usr/bin/python3.11", "python3", &["python3", "-u", "/srv/orders.py"], "orders.py"),
            ("/usr/bin/python3.11", "python3", &["python3", "-X", "dev", "/srv/shop/__main__.py"], "shop"),
            ("/usr/bin/python3.11", "python3", &["python3", "-c", "import os"], "python3"),
            ("/usr/bin/python3.11", "python3", &["python3"], "python3"),
            (
                "/usr/bin/python3.11",
                "gunicorn",
                &["/usr/bin/python3", "/usr/bin/gunicorn", "app:app"],
                "gunicorn",
            ),
            ("/usr/bin/python3.11", "gunicorn: maste", &["gunicorn: master [app]"], "gunicorn"),
            ("/usr/bin/python3.11", "orders", &["python3", "/srv/main.py"], "orders"),
            ("/usr/bin/python3.11", "python3", &["orders", "/srv/main.py"], "orders"),
            ("/usr/bin/node", "node", &["node", "-r", "dotenv/config", "server.js"], "server.js"),
            ("/usr/bin/node", "node-MainThread", &["node", "/srv/server.js"], "server.js"),
            ("/usr/bin/node", "MainThread", &["node", "-e", "1"], "node"),
            (
                "/opt/jdk/bin/java",
                "java",
                &["java", "-Xmx1g", "-cp", "a:b", "com.acme.Main", "x"],
                "com.acme.Main",
            ),
            ("/opt/jdk/bin/java", "java", &["java", "-jar", "/srv/orders.jar"], "orders.jar"),
            ("/opt/jdk/bin/java", "java", &["java", "-m", "shop/com.acme.Main"], "com.acme.Main"),
            ("/usr/bin/ruby3.1", "ruby", &["puma 5.6.4 (tcp://0.0.0.0:3000) [app]"], "puma"),
            ("/usr/bin/perl", "perl", &["perl", "-I", "lib", "app.pl"], "app.pl"),
            ("/usr/bin/php8.2", "php", &["php", "-S", "127.0.0.1:80", "router.php"], "router.php"),
            ("/usr/bin/php8.2", "php", &["php", "artisan", "serve"], "artisan"),
            ("/usr/sbin/php-fpm8.2", "php-fpm8.2", &["php-fpm: pool www"], "php-fpm"),
            ("/usr/bin/bash", "bash", &["-bash"], "bash"),
            ("/usr/bin/dash", "sh", &["sh", "-c", "curl x"], "sh"),
            ("/usr/bin/dash", "sh", &["sh", "/srv/load.sh"], "load.sh"),
            ("/usr/bin/bash", "load.sh", &["/bin/bash", "./load.sh"], "load.sh"),
            ("/usr/bin/deno", "deno", &["deno", "run", "--allow-net", "main.ts"], "main.ts"),
            ("/root/.bun/bin/bun", "bun", &["bun", "server.ts"], "server.ts"),
            ("/usr/bin/dotnet", "dotnet", &["dotnet", "/srv/Orders.dll"], "Orders.dll"),
            ("/bin/busybox", "httpd", &["httpd", "-f"], "httpd"),
            ("/bin/busybox", "busybox", &["busybox", "httpd", "-f"], "httpd"),
            (
                "/srv/a-program-with-a-long-name",
                "a-program-with-",
                &["/srv/a-program-with-a-long-name"],
                "a-program-with-a-long-name",
            ),
            ("/srv/demo", "orders", &["/srv/demo"], "orders"),
            ("/srv/demo", "demo", &["orders"], "orders"),
            ("/srv/demo", "3", &["/srv/demo"], "demo"),
            ("", "curl", &["curl", "http://h/"], "curl"),
            ("", "a-program-with-", &["/srv/a-program-with-a-long-name"], "a-program-with-a-long-name"),
            ("", "python3", &["python3", "job.py"], "job.py"),
            ("", "curl", &[], "curl"),
            ("", "bash", &["orders", "-c", "curl x"], "orders"),
            ("", "load.sh", &["/bin/bash", "./load.sh"], "load.sh"),
            ("", "python3", &["/usr/bin/python3", "-m", "http.server"], "http.server"),
            ("", "", &[], "unknown"),
            ("/srv/od:d na@me", "od:d na@me", &[], "od_d_na_me"),
            ("/usr/lib/systemd/systemd", "systemd", &["/sbin/init"], "systemd"),
            (
                "/usr/lib/postgresql/15/bin/postgres",
                "postgres",
                &["postgres: me shop 10.0.0.9(5000) idle"],
                "postgres",
            ),
        ] {
            assert_eq!(name(exe, comm, args.join("\0").as_bytes()), expected, "{exe} {comm} {args:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_process_has_a_short_name(exe in "\\PC{0,80}", comm in "\\PC{0,15}", args in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let name = name(&exe, &comm, &args);
            proptest::prop_assert!(!name.is_empty() && name.len() <= MAX_NAME);
            proptest::prop_assert!(!name.contains([':', '@', '/', '\n']));
        }
    }
}
