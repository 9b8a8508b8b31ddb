//! What is inside TLS and is not HTTP is said to be that: PostgreSQL's own server and client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::server::Server;
use apisec_tests::skip::skip;
use apisec_tests::watch::Watch;

use crate::live::{can_run, run};

/// Which TLS the connection of this very question has.
const ASK: &str = "select version from pg_stat_ssl where pid = pg_backend_pid()";

/// Runs a program as somebody else than root, which PostgreSQL insists on.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

/// PostgreSQL's programs, which are not in the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions.map(|version| version.path().join("bin")).find(|folder| folder.join("postgres").is_file())
}

/// Gives a file or folder, and what is in it, to PostgreSQL's user.
fn give(path: &Path) {
    run("chown", &["-R", "postgres", &path.display().to_string()]);
}

fn serve(programs: &Path, certificate: &Certificate) -> Server {
    Server::start(|address, folder| {
        let (data, chain, key) = (folder.join("data"), folder.join("chain.pem"), folder.join("key.pem"));
        fs::copy(certificate.chain(), &chain)?;
        fs::copy(certificate.key(), &key)?;
        run("chmod", &["600", &key.display().to_string()]);
        give(folder);
        let made = as_postgres(&programs.join("initdb"))
            .args(["-A", "trust", "--no-locale", "-D"])
            .arg(&data)
            .output()?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = as_postgres(&programs.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(folder);
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-c", "ssl=on"]);
        command.args(["-c", &format!("ssl_cert_file={}", chain.display())]);
        command.args(["-c", &format!("ssl_key_file={}", key.display()), "-c", "log_statement=all"]);
        Ok(command)
    })
    .unwrap()
}

#[test]
fn postgres_is_read_and_is_not_http() {
    let name = "tls::foreign::postgres_is_read_and_is_not_http";
    if !can_run(name, &["psql", "setpriv", "openssl", "chown"]) {
        return;
    }
    let Some(programs) = programs() else {
        return skip(&format!("live::{name}"), "PostgreSQL's server is not installed: run make setup");
    };
    let certificate = Certificate::new().unwrap();
    let server = serve(&programs, &certificate);
    let port = server.address().port();
    let watch = Watch::snapshot().unwrap();
    let connection = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=require");
    for _ in 0..3 {
        let output = Command::new("psql").args([&connection, "-Atc", ASK]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("TLSv1"), "{output:?}");
    }
    assert_eq!(server.printed("statement: ", 3).unwrap().len(), 3);
    let snapshot = watch.end_with_snapshot().unwrap();
    let rows = snapshot.capture.coverage.iter().filter(|row| row.workload.ends_with(&format!(":{port}")));
    let [row] = rows.collect::<Vec<_>>()[..] else { panic!("{:#?}", snapshot.capture.coverage) };
    assert_eq!(
        (row.protocol.as_str(), row.connections.opaque, row.connections.decrypted),
        ("tls-other", 3, 0)
    );
    assert!(row.reason.contains("not HTTP") && row.bytes.opaque > 3000, "{row:?}");
    assert!(!snapshot.endpoints.iter().any(|endpoint| endpoint.service == row.workload));
}
