//! Go's crypto/tls at both ends, in programs with and without a symbol table.

use std::path::{Path, PathBuf};
use std::process::Command;

use apisec_tests::certificate::Certificate;
use apisec_tests::client::curl;
use apisec_tests::server::Server;
use apisec_tests::skip::find_program;
use apisec_tests::tool::workspace;
use apisec_tests::watch::{Watch, mark};

use super::paths;
use crate::live::{can_run, each_once};

/// As a server with four arguments (address, port, certificate, key), else a client: address, port and paths.
const PROGRAM: &str = r#"package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	if os.Args[1] == "serve" {
		answer := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }
		panic(http.ListenAndServeTLS(os.Args[2]+":"+os.Args[3], os.Args[4], os.Args[5], http.HandlerFunc(answer)))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := &http.Client{Transport: transport}
	for _, path := range os.Args[4:] {
		response, err := client.Get("https://" + os.Args[2] + ":" + os.Args[3] + path)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
}
"#;

/// Compiles the program; the compiler's cache stays in the target folder.
fn build(folder: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let (source, program) = (folder.join("vault.go"), folder.join(name));
    std::fs::write(&source, PROGRAM).unwrap();
    let mut command = Command::new(find_program("go").unwrap());
    command.env("GOCACHE", workspace().join("target/go")).env("GO111MODULE", "off").env("GOFLAGS", "");
    command.env("HOME", folder).arg("build").args(flags).arg("-o").arg(&program).arg(&source);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[test]
fn go_serves_and_asks_with_and_without_symbols() {
    if !can_run("tls::go::go_serves_and_asks_with_and_without_symbols", &["go", "curl", "openssl"]) {
        return;
    }
    let mark = mark("go");
    let (certificate, folder) = (Certificate::new().unwrap(), tempfile::tempdir().unwrap());
    let programs =
        [build(folder.path(), "vault", &[]), build(folder.path(), "strippedvault", &["-ldflags", "-s -w"])];
    let serve = |program: &PathBuf| {
        Server::start(|address, _| {
            let mut command = Command::new(program);
            command.arg("serve").arg(address.ip().to_string()).arg(address.port().to_string());
            command.arg(certificate.chain()).arg(certificate.key());
            Ok(command)
        })
        .unwrap()
    };
    let older: Vec<_> = programs.iter().map(serve).collect();
    let watch = Watch::calls().unwrap();
    let younger: Vec<_> = programs.iter().map(serve).collect();
    let mut expected = Vec::new();
    for server in older.iter().chain(&younger) {
        let address = server.address();
        let mine = paths(&mark, &format!("{}-go", address.port()), 6);
        let mut client = Command::new(&programs[0]);
        client.arg("ask").arg(address.ip().to_string()).arg(address.port().to_string()).args(&mine);
        let output = client.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for version in ["--http1.1", "--http2"] {
            let by_curl = paths(&mark, &format!("{}-curl{version}", address.port()), 3);
            let urls: Vec<String> = by_curl.iter().map(|path| format!("https://{address}{path}")).collect();
            let mut arguments = vec!["-k", version];
            arguments.extend(urls.iter().map(String::as_str));
            curl(&arguments).unwrap();
            expected.extend(by_curl);
        }
        expected.extend(mine);
    }
    let calls = watch.end_with_calls(&mark).unwrap();
    each_once(&calls, expected);
    for call in &calls {
        assert_eq!((call.status, call.vantage.as_str()), (Some(200), "server"), "{call:?}");
        assert_eq!(call.protocol == "http2", call.path.contains("--http2"), "{call:?}");
        assert_eq!(call.src == "process:curl", call.path.contains("curl"), "{call:?}");
    }
}
