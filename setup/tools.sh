#!/usr/bin/env bash
# Installs what only `make ci` needs: rustfmt, clippy and cargo-deny. Idempotent.
set -euo pipefail
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

deny_version=0.20.2
say() { printf '>> %s\n' "$*"; }

for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
  say "rustup component add $component"
  rustup component add "$component"
done
if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $deny_version" ]; then
  say "cargo install cargo-deny $deny_version (a few minutes, once)"
  cargo install --quiet --locked --force cargo-deny --version "$deny_version"
fi
