//! Builds probe-ebpf to $OUT_DIR/probe.bpf.o.
//!
//! EBPF_OBJECT=/path            use this object, build nothing
//! EBPF_TOOLCHAIN=system|rustup   force one way; default: the first that works, in this order
//!   system   EBPF_RUSTC (default /usr/bin/rustc) that ships a precompiled core for bpfel: Debian's rustc-web +
//!            libstd-rust-web-dev-bpf, Fedora's rust-std-static-bpfel...
//!   rustup   `rustup run $EBPF_NIGHTLY` (default nightly) with rust-src, -Z build-std=core
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a build script stops the build by panicking"
)]

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn stdout(cmd: &mut Command) -> Option<String> {
    let o = cmd.output().ok()?;
    o.status.success().then(|| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_owned();
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let dst = out_dir.join("probe.bpf.o");
    for v in ["EBPF_OBJECT", "EBPF_TOOLCHAIN", "EBPF_RUSTC", "EBPF_NIGHTLY", "PATH"] {
        println!("cargo::rerun-if-env-changed={v}");
    }
    for p in ["probe-ebpf/src", "probe-ebpf/Cargo.toml", "probe-ebpf/abi"] {
        println!("cargo::rerun-if-changed={}", root.join(p).display());
    }
    if let Some(p) = env::var_os("EBPF_OBJECT") {
        println!("cargo::rerun-if-changed={}", Path::new(&p).display());
        fs::copy(&p, &dst).expect("copy EBPF_OBJECT");
        return;
    }
    let forced = env::var("EBPF_TOOLCHAIN").ok();
    let may = |what: &str| forced.as_deref().is_none_or(|f| f == what);
    let target = if env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() == Ok("big") {
        "bpfeb-unknown-none"
    } else {
        "bpfel-unknown-none"
    };
    // One nested target dir for every profile and for clippy: <target>/ebpf. Not the outer one: cargo would lock itself.
    let target_dir = out_dir.ancestors().nth(4).unwrap().join("ebpf");
    let mut why = Vec::new();

    let mut cmd = None;
    if may("system") {
        let rustc = env::var_os("EBPF_RUSTC").unwrap_or_else(|| "/usr/bin/rustc".into());
        let libdir = stdout(Command::new(&rustc).args(["--print", "target-libdir", "--target", target]));
        let has_core = libdir.as_ref().is_some_and(|d| {
            fs::read_dir(d).is_ok_and(|mut d| {
                d.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("libcore-")))
            })
        });
        if has_core {
            let mut c = Command::new(env::var_os("CARGO").unwrap());
            c.arg("build").env("RUSTC", &rustc);
            // aya_ebpf is the only crate that needs an unstable feature (asm_experimental_arch)
            c.env("RUSTC_BOOTSTRAP", "aya_ebpf");
            cmd = Some((c, target_dir.join("system")));
        } else {
            why.push(format!("{} has no core for {target}", rustc.to_string_lossy()));
        }
    }
    if cmd.is_none() && may("rustup") {
        let tc = env::var_os("EBPF_NIGHTLY").unwrap_or_else(|| "nightly".into());
        let sysroot =
            stdout(Command::new("rustup").arg("run").arg(&tc).args(["rustc", "--print", "sysroot"]));
        match sysroot {
            Some(s) if Path::new(&s).join("lib/rustlib/src/rust/library/Cargo.lock").exists() => {
                let mut c = Command::new("rustup");
                c.arg("run").arg(&tc).args(["cargo", "build", "-Z", "build-std=core"]).env_remove("RUSTC");
                cmd = Some((c, target_dir.join("rustup")));
            }
            Some(_) => why.push(format!("rustup toolchain {} has no rust-src", tc.to_string_lossy())),
            None => why.push(format!("no rustup toolchain {}", tc.to_string_lossy())),
        }
    }
    if cmd.is_some() && stdout(Command::new("bpf-linker").arg("--version")).is_none() {
        why.push("bpf-linker is not on PATH".into());
        cmd = None;
    }
    if let Some((mut cmd, dir)) = cmd {
        let mut flags = OsString::from(format!(
            "--cfg=bpf_target_arch=\"{}\"",
            env::var("CARGO_CFG_TARGET_ARCH").unwrap()
        ));
        for f in ["-Cdebuginfo=2", "-Clink-arg=--btf"] {
            flags.push("\x1f");
            flags.push(f);
        }
        flags.push(format!("\x1f--remap-path-prefix={}=/src", root.display()));
        if let Some(h) = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")))
        {
            flags.push(format!("\x1f--remap-path-prefix={}=/cargo", h.display()));
        }
        cmd.current_dir(&root)
            .args([
                "--release",
                "--locked",
                "--package",
                "apisec-probe-ebpf",
                "--bins",
                "--target",
                target,
                "--target-dir",
            ])
            .arg(&dir)
            .env("CARGO_ENCODED_RUSTFLAGS", flags);
        for k in [
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "RUSTDOC",
        ] {
            cmd.env_remove(k);
        }
        let o = cmd.output().unwrap_or_else(|e| panic!("{cmd:?}: {e}"));
        if !o.status.success() {
            panic!("{cmd:?} failed:\n{}", String::from_utf8_lossy(&o.stderr));
        }
        fs::copy(dir.join(target).join("release/apisec-probe-ebpf"), &dst).expect("copy the eBPF object");
        return;
    }
    panic!("cannot build the eBPF object: {}. Run `make setup`", why.join("; "));
}
