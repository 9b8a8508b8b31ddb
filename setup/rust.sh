#!/usr/bin/env bash
# Checks that a Rust toolchain is there which can build the host programs; says what to do if not.
set -euo pipefail
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
cd "$(dirname "$0")/.."

die() { printf 'setup/rust.sh: %s\n' "$*" >&2; exit 1; }
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

command -v cargo >/dev/null || die "no cargo: install rustup with the stable toolchain, see https://rustup.rs"
found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || die "cargo is there, rustc is not: rustup default stable"
oldest=$(printf '%s\n' "$wanted" "$found" | sort -V | head -1)
[ "$oldest" = "$wanted" ] || die "rustc $found is older than $wanted: rustup update stable"
