//! Shows a made-up shop in the real terminal, to look at every view without any traffic.
//!
//! `cargo run -p apisec-top --example gallery [THEME] [plain|ascii|hostile|empty|crowded|moving]...`

#[expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "it is test data: a mistake in it shall stop the program at once"
)]
#[path = "../src/fixture.rs"]
mod fixture;

use apisec_engine::snapshot::Snapshot;
use apisec_top::run::{Options, show};
use apisec_top::theme::Terminal;
use std::sync::Arc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let snapshot = if has("hostile") {
        fixture::hostile()
    } else if has("crowded") {
        fixture::crowded(10_000)
    } else if has("empty") {
        Snapshot::default()
    } else {
        fixture::shop()
    };
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let options = Options {
        title: "REPLAY gallery".to_owned(),
        theme: words.first().cloned().unwrap_or_default(),
        plain: has("plain"),
        ascii: has("ascii"),
        environment: Terminal {
            no_color: !variable("NO_COLOR").is_empty(),
            colorterm: variable("COLORTERM"),
            term: variable("TERM"),
        },
        ..Options::default()
    };
    let (sender, receiver) = tokio::sync::watch::channel(Arc::new(snapshot.clone()));
    if has("moving") {
        std::thread::spawn(move || moving(snapshot, &sender));
        return show(receiver, |_| {}, options);
    }
    let result = show(receiver, |_| {}, options);
    drop(sender);
    result
}

/// Four snapshots a second, as live traffic gives.
fn moving(mut snapshot: Snapshot, sender: &tokio::sync::watch::Sender<Arc<Snapshot>>) {
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    while !sender.is_closed() {
        snapshot.capture.calls += 31;
        snapshot.revision += 1;
        if let Some(edge) = snapshot.edges.first_mut() {
            edge.calls += 31;
        }
        sender.send_replace(Arc::new(snapshot.clone()));
        let _timeout = pause.recv_timeout(std::time::Duration::from_millis(250));
    }
}
