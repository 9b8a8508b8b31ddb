//! A plug-in is one file and one line in a visible list: a file that is not in its list does nothing, and
//! nobody would notice. The check is textual on purpose, so that it also sees code that is not compiled.

use std::fs;
use std::path::Path;

use apisec_tests::tool::workspace;

/// A folder of plug-ins and the list that names them.
struct PlugIns {
    folder: &'static str,
    extension: &'static str,
    /// The file with the list, and the list's name.
    list: (&'static str, &'static str),
    /// Files that are no plug-ins, each with the reason why it is there.
    others: &'static [(&'static str, &'static str)],
    /// Whether the folder exists by now.
    built: bool,
}

const PLUG_INS: &[PlugIns] = &[
    PlugIns {
        folder: "probe/proto/src/wire",
        extension: "rs",
        list: ("probe/proto/src/wire.rs", "PROTOCOLS"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "probe/proto/src/dialect",
        extension: "rs",
        list: ("probe/proto/src/dialect.rs", "DIALECTS"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "probe/engine/src/detect",
        extension: "rs",
        list: ("probe/engine/src/detect.rs", "DETECTORS"),
        others: &[
            ("hostile", "clients that want detectors blind or wrong"),
            ("scene", "small plays for the tests of detectors"),
        ],
        built: true,
    },
    PlugIns {
        folder: "probe/engine/src/policy/manifest",
        extension: "rs",
        list: ("probe/engine/src/policy/manifest.rs", "BACKENDS"),
        others: &[
            ("path", "paths in the languages of those who match them"),
            ("tests", "tests of all of them"),
        ],
        built: true,
    },
    PlugIns {
        folder: "probe/src/metrics",
        extension: "rs",
        list: ("probe/src/metrics.rs", "KINDS"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "probe/src/enforce",
        extension: "rs",
        list: ("probe/src/enforce.rs", "BACKENDS"),
        others: &[("rule", "what every backend is given")],
        built: true,
    },
    PlugIns {
        folder: "probe/src/attach",
        extension: "rs",
        list: ("probe/src/attach.rs", "HOOKS"),
        others: &[
            ("btf", "reads field offsets of the running kernel"),
            ("batch", "puts probes into files by the batch"),
            ("cgroup", "finds the cgroup2 root that hooks are attached to"),
            ("neighbours", "counts the programs of other tools"),
            ("rights", "says which capabilities are missing"),
        ],
        built: true,
    },
    PlugIns {
        folder: "probe-ebpf/src",
        extension: "rs",
        list: ("probe/src/attach.rs", "HOOKS"),
        others: &[
            ("classify", "what hooks share: is this HTTP"),
            ("http2", "what the capture hook does with HTTP/2"),
            ("events", "what hooks share: answers that are streams of events"),
            ("pipelining", "what the capture hook does with requests that do not wait for answers"),
            ("counters", "what hooks share: every kind of loss"),
            ("main", "the object"),
            ("packet", "what hooks share: headers of a packet"),
            ("quic", "what the capture hook does with UDP"),
            ("record", "what hooks share: events as bytes"),
            ("ring", "what hooks share: the way to user space"),
            ("samples", "what hooks share: bodies that are wanted whole"),
            ("socket", "what hooks share: what is known of a socket"),
        ],
        built: true,
    },
    PlugIns {
        folder: "tui/src/view",
        extension: "rs",
        list: ("tui/src/view.rs", "VIEWS"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "tui/src/command",
        extension: "rs",
        list: ("tui/src/command.rs", "COMMANDS"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "tui/src/report",
        extension: "rs",
        list: ("tui/src/report.rs", "REPORTS"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "tui/src/export",
        extension: "rs",
        list: ("tui/src/export.rs", "EXPORTS"),
        others: &[("file", "how exports become files")],
        built: true,
    },
    PlugIns {
        folder: "themes",
        extension: "toml",
        list: ("tui/src/theme.rs", "THEMES"),
        others: &[],
        built: true,
    },
    PlugIns {
        folder: "demo/src/scenario",
        extension: "rs",
        list: ("demo/src/scenario.rs", "SCENARIOS"),
        others: &[],
        built: true,
    },
];

#[test]
fn every_plug_in_is_registered() {
    let root = workspace();
    let problems: Vec<_> = PLUG_INS.iter().flat_map(|plug_ins| problems(&root, plug_ins)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn an_unregistered_plug_in_is_found() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("wire");
    fs::create_dir(&folder).unwrap();
    for name in ["http1.rs", "forgotten.rs", "cap.rs", "tests.rs"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let list =
        "//! forgotten\npub const PROTOCOLS: &[&dyn Protocol] = &[\n    &http1::Http1,\n];\nmod forgotten;\n";
    fs::write(root.path().join("wire.rs"), list).unwrap();
    let plug_ins = |built| PlugIns {
        folder: "wire",
        extension: "rs",
        list: ("wire.rs", "PROTOCOLS"),
        others: &[("cap", "a bound that all share"), ("gone", "is no longer there")],
        built,
    };
    let found = problems(root.path(), &plug_ins(true));
    let expected =
        ["wire/forgotten.rs is not in PROTOCOLS (wire.rs)", "wire/gone.rs is excused but not there"];
    assert_eq!(found, expected);
    assert_eq!(problems(root.path(), &plug_ins(false)), ["wire exists: mark it as built in plug_ins.rs"]);
}

fn problems(root: &Path, plug_ins: &PlugIns) -> Vec<String> {
    let PlugIns { folder, extension, list: (file, name), others, built } = plug_ins;
    let path = root.join(folder);
    if !built {
        return if path.exists() {
            vec![format!("{folder} exists: mark it as built in plug_ins.rs")]
        } else {
            vec![]
        };
    }
    let source = fs::read_to_string(root.join(file)).unwrap_or_default();
    let Some(list) = initialiser(&source, name) else {
        return vec![format!("{file} has no list {name}")];
    };
    let mut found: Vec<_> = stems(&path, extension)
        .into_iter()
        .filter(|stem| {
            stem != "tests" && !others.iter().any(|(other, _)| other == stem) && !names(list, stem)
        })
        .map(|stem| format!("{folder}/{stem}.{extension} is not in {name} ({file})"))
        .collect();
    let gone = others.iter().filter(|(other, _)| !path.join(other).with_extension(extension).exists());
    found.extend(gone.map(|(other, _)| format!("{folder}/{other}.{extension} is excused but not there")));
    found
}

/// The text between the list's name where it is defined and the bracket that ends it.
fn initialiser<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let defined = [format!("const {name}:"), format!("static {name}:")];
    let start = defined.iter().find_map(|definition| source.find(definition))?;
    let rest = source.get(start..)?;
    rest.split_once("];").map(|(list, _)| list)
}

/// Whether `list` holds `stem` as a whole word.
fn names(list: &str, stem: &str) -> bool {
    list.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|word| word == stem)
}

fn stems(folder: &Path, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|e| e == extension));
    let mut stems: Vec<_> =
        files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    stems.sort();
    stems
}
