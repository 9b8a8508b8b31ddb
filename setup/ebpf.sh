#!/usr/bin/env bash
# Sets up the toolchain that compiles the kernel programs. Idempotent, and quick when everything is there.
#   Debian and relatives: their rustc with a precompiled core for the BPF target. No nightly, no rust-src.
#   Elsewhere: rustup's nightly with rust-src.
# Both: bpf-linker, built against the very libLLVM that this rustc uses, so that the versions match.
#   EBPF_TOOLCHAIN=system refuses the second way.
set -euo pipefail
trap 'echo "setup/ebpf.sh failed at line $LINENO: $BASH_COMMAND" >&2' ERR

linker_version=${BPF_LINKER_VERSION:-0.13.0}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
llvm=${LLVM_SHIM:-$cargo_home/bpf-linker-llvm}
export PATH="$cargo_home/bin:$PATH"

say() { printf '>> %s\n' "$*"; }
die() { printf 'setup/ebpf.sh: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

case $(uname -m) in
s390x | ppc64 | mips*) target=bpfeb-unknown-none ;;
*) target=bpfel-unknown-none ;;
esac

system_rustc() { # a rustc outside rustup that ships a core for the BPF target
  local rustc=${EBPF_RUSTC:-/usr/bin/rustc} libraries
  [ -x "$rustc" ] || return 1
  libraries=$("$rustc" --print target-libdir --target "$target" 2>/dev/null) || return 1
  compgen -G "$libraries/libcore-*.rlib" >/dev/null && echo "$rustc"
}

install_debian() {
  local as_root=() packages=(rustc-web libstd-rust-web-dev-bpf) log
  if [ "$(id -u)" != 0 ]; then
    has sudo || die "needs root to install ${packages[*]}: run as root, or install sudo"
    as_root=(sudo)
  fi
  say "installing with apt-get: ${packages[*]} (the compiler of the kernel programs)"
  log=$(mktemp "${TMPDIR:-/tmp}/apisec-top-apt.XXXXXX")
  apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1; }
  if ! apt install -yq --no-install-recommends "${packages[@]}"; then
    say "apt-get update"
    apt update -q && apt install -yq --no-install-recommends "${packages[@]}" || {
      tail -5 "$log" >&2
      say "this release has no ${packages[*]}"
    }
  fi
  rm -f "$log"
}

find_libllvm_of_system() {
  local driver
  driver=$(find "$("$rustc" --print sysroot)/lib" -maxdepth 2 -name 'librustc_driver-*.so' -print -quit)
  ldd "$driver" | awk '/libLLVM/ { print $3; exit }'
}

if ! rustc=$(system_rustc) && has apt-get; then
  install_debian
  rustc=$(system_rustc) || rustc=
fi
if [ -n "${rustc:-}" ]; then
  libllvm=$(find_libllvm_of_system)
elif [ "${EBPF_TOOLCHAIN:-}" = system ]; then
  die "EBPF_TOOLCHAIN=system, but there is no system rustc with a core for $target"
else
  has rustup || die "no system rustc with a core for $target, and no rustup: see https://rustup.rs"
  say "no system rustc with a core for $target: using rustup's nightly with rust-src"
  rustup toolchain install nightly --profile minimal --component rust-src
  sysroot=$(rustup run nightly rustc --print sysroot)
  rustc=$sysroot/bin/rustc
  libllvm=$(find "$sysroot/lib" -maxdepth 1 -name 'libLLVM.so.*' -print -quit)
fi
[ -n "$libllvm" ] || die "$rustc does not say which libLLVM it uses"
major=$("$rustc" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

wanted="bpf-linker $linker_version"
if [ "$(bpf-linker --version 2>/dev/null)" = "$wanted" ] &&
  [ "$(readlink -f "$llvm/lib/libLLVM.so" || true)" = "$(readlink -f "$libllvm")" ]; then
  exit 0
fi
say "building $wanted against LLVM $major of $("$rustc" --version | cut -d' ' -f1-2) (about two minutes)"
mkdir -p "$llvm/lib"
ln -sfn "$libllvm" "$llvm/lib/libLLVM.so"
ln -sfn "$libllvm" "$llvm/lib/$(basename "$libllvm")"
LLVM_PREFIX=$llvm CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_LTO=off \
  cargo install --quiet --locked --force bpf-linker --version "$linker_version" \
  --no-default-features --features "llvm-$major"
bpf-linker --version >/dev/null
