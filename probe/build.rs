//! Builds the kernel programs (`probe-ebpf/`) to `$OUT_DIR/probe.bpf.o` (they watch) and
//! `$OUT_DIR/enforce.bpf.o` (they refuse).
//!
//! * `EBPF_OBJECT=/path` uses that object, and `enforce.bpf.o` beside it, and builds nothing.
//! * `EBPF_TOOLCHAIN=system|rustup` forces one way; the default is the first that works, in this order:
//!   `system` is `EBPF_RUSTC` (default `/usr/bin/rustc`) with a precompiled core for the BPF target (Debian's
//!   rustc-web with libstd-rust-web-dev-bpf); `rustup` is `EBPF_NIGHTLY` (default `nightly`) with rust-src.
//!
//! It never falls back to an object that is not built from this tree: without a toolchain the build fails
//! and names the command that installs one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Outcome<T> = Result<T, String>;

fn main() -> Outcome<()> {
    for name in ["EBPF_OBJECT", "EBPF_TOOLCHAIN", "EBPF_RUSTC", "EBPF_NIGHTLY", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let root = workspace_root()?;
    for watched in ["probe-ebpf/src", "probe-ebpf/enforce", "probe-ebpf/Cargo.toml", "probe-ebpf/abi/src"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let out = PathBuf::from(variable("OUT_DIR")?);
    let (probe, enforce) = (out.join("probe.bpf.o"), out.join("enforce.bpf.o"));
    if let Some(given) = env::var_os("EBPF_OBJECT") {
        let given = Path::new(&given);
        println!("cargo::rerun-if-changed={}", given.display());
        copy(given, &probe)?;
        return copy(&given.with_file_name("enforce.bpf.o"), &enforce);
    }
    let built = Toolchain::find()?.build(&root)?;
    copy(&built.join("apisec-probe-ebpf"), &probe)?;
    copy(&built.join("apisec-enforce-ebpf"), &enforce)
}

fn workspace_root() -> Outcome<PathBuf> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    manifest.parent().map(Path::to_path_buf).ok_or_else(|| "probe/ has no parent folder".to_owned())
}

/// A compiler that can produce BPF objects.
enum Toolchain {
    /// A rustc outside rustup that ships a precompiled `core` for the target.
    System { rustc: OsString },
    /// A rustup nightly that compiles `core` from its own source.
    Rustup { name: OsString },
}

impl Toolchain {
    fn find() -> Outcome<Self> {
        let forced = env::var("EBPF_TOOLCHAIN").ok();
        let may = |way: &str| forced.as_deref().is_none_or(|f| f == way);
        let mut missing = Vec::new();
        let mut found = None;
        if may("system") {
            found = Self::system().map_err(|why| missing.push(why)).ok();
        }
        if found.is_none() && may("rustup") {
            found = Self::rustup().map_err(|why| missing.push(why)).ok();
        }
        if found.is_some() && stdout(Command::new("bpf-linker").arg("--version")).is_none() {
            missing.push("bpf-linker is not on PATH".to_owned());
            found = None;
        }
        found.ok_or_else(|| {
            format!("cannot build the kernel programs: {}. Run `make ebpf` first.", missing.join("; "))
        })
    }

    fn system() -> Outcome<Self> {
        let rustc = env::var_os("EBPF_RUSTC").unwrap_or_else(|| "/usr/bin/rustc".into());
        let target = bpf_target();
        let libraries = stdout(Command::new(&rustc).args(["--print", "target-libdir", "--target", target]));
        let is_core = |name: OsString| name.to_string_lossy().starts_with("libcore-");
        let has_core = libraries
            .and_then(|folder| fs::read_dir(folder).ok())
            .is_some_and(|mut entries| entries.any(|e| e.is_ok_and(|e| is_core(e.file_name()))));
        if has_core {
            Ok(Self::System { rustc })
        } else {
            Err(format!("{} has no core for {target}", rustc.to_string_lossy()))
        }
    }

    fn rustup() -> Outcome<Self> {
        let name = env::var_os("EBPF_NIGHTLY").unwrap_or_else(|| "nightly".into());
        let sysroot =
            stdout(Command::new("rustup").arg("run").arg(&name).args(["rustc", "--print", "sysroot"]));
        match sysroot {
            Some(root) if Path::new(&root).join("lib/rustlib/src/rust/library/Cargo.lock").exists() => {
                Ok(Self::Rustup { name })
            }
            Some(_) => Err(format!("the rustup toolchain {} has no rust-src", name.to_string_lossy())),
            None => Err(format!("there is no rustup toolchain {}", name.to_string_lossy())),
        }
    }

    /// Compiles the kernel programs and returns the folder with the objects.
    fn build(&self, root: &Path) -> Outcome<PathBuf> {
        let target = bpf_target();
        let folder = target_folder()?.join(self.folder());
        let mut cargo = self.cargo()?;
        cargo
            .current_dir(root)
            .args(["--release", "--locked", "--package", "apisec-probe-ebpf", "--bins"])
            .args(["--target", target, "--target-dir"])
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?);
        let ours = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTDOC"];
        for name in ours.into_iter().chain(["CARGO_TARGET_DIR", "CLIPPY_ARGS", "CLIPPY_CONF_DIR"]) {
            cargo.env_remove(name);
        }
        let output = cargo.output().map_err(|e| format!("{cargo:?}: {e}"))?;
        if !output.status.success() {
            return Err(format!("{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(folder.join(target).join("release"))
    }

    fn folder(&self) -> &'static str {
        match self {
            Self::System { .. } => "system",
            Self::Rustup { .. } => "rustup",
        }
    }

    fn cargo(&self) -> Outcome<Command> {
        match self {
            Self::System { rustc } => {
                let mut cargo = Command::new(variable("CARGO")?);
                // Only aya-ebpf asks for an unstable feature (asm_experimental_arch).
                cargo.arg("build").env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "aya_ebpf");
                Ok(cargo)
            }
            Self::Rustup { name } => {
                let mut cargo = Command::new("rustup");
                cargo
                    .arg("run")
                    .arg(name)
                    .args(["cargo", "build", "-Z", "build-std=core"])
                    .env_remove("RUSTC");
                Ok(cargo)
            }
        }
    }
}

/// One folder for every profile and for clippy: `<target>/ebpf`. Not the outer target folder itself, which
/// the outer cargo has locked.
fn target_folder() -> Outcome<PathBuf> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    out.ancestors()
        .nth(4)
        .map(|target| target.join("ebpf"))
        .ok_or_else(|| format!("{} is not inside a target folder", out.display()))
}

fn flags(root: &Path) -> Outcome<OsString> {
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").map_err(|e| e.to_string())?;
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{architecture}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("--remap-path-prefix={}=/src", root.display()),
    ];
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    if let Some(cargo) = env::var_os("CARGO_HOME").map(PathBuf::from).or(home) {
        flags.push(format!("--remap-path-prefix={}=/cargo", cargo.display()));
    }
    Ok(flags.join("\x1f").into())
}

fn bpf_target() -> &'static str {
    match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    }
}

fn variable(name: &str) -> Outcome<OsString> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::copy(from, to).map(|_| ()).map_err(|e| format!("copy {} to {}: {e}", from.display(), to.display()))
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
