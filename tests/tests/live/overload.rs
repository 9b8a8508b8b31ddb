//! Work that is shed is said, in the JSON as on the screen, and calls are counted all the same: those that are not were
//! lost before us, and the JSON says so.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use apisec_tests::server::{Nginx, NginxSetup};
use apisec_tests::watch::{Watch, mark};

use super::can_run;

#[test]
fn what_is_shed_is_said() {
    if !can_run("overload::what_is_shed_is_said", &["nginx", "ab"]) {
        return;
    }
    let mark = mark("overload");
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("config.toml");
    fs::write(&settings, "[budget]\ncpu_share = 0.01\n").unwrap();
    let settings = settings.to_string_lossy();
    let nginx = Nginx::start(NginxSetup::default()).unwrap();
    let watch = Watch::start(&["--output", "json", "--config", &settings]).unwrap();
    let mut calls = 0;
    // The governor judges once a second.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        let url = format!("{}{mark}", nginx.url());
        let output = Command::new("ab").args(["-q", "-k", "-n", "500", "-c", "4", &url]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        calls += 500;
    }
    let snapshot = watch.end_with_snapshot().unwrap();
    let overload = snapshot.capture.degradations.iter().find(|one| one.code == "overload");
    assert!(overload.is_some_and(|one| one.what.contains("shedding")), "{:?}", snapshot.capture.degradations);
    let id = format!("process:nginx:{}", nginx.address().port());
    let counted: u64 = snapshot.endpoints.iter().filter(|e| e.service == id).map(|e| e.calls).sum();
    // A record that found no room in the ring is one call at most.
    assert!(
        counted <= calls && calls <= counted + snapshot.capture.lost,
        "{counted} of {calls}, {:?}",
        snapshot.capture
    );
}
