# The commands that a person types. `.ci/run` calls the same ones.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Debian's rustc for the kernel programs lives in /usr/bin: the host programs are built by rustup's.
CARGO_HOME ?= $(HOME)/.cargo
export PATH := $(CARGO_HOME)/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin
export CARGO_TERM_COLOR ?= auto
target := $(or $(CARGO_TARGET_DIR),target)
say = printf '>> %s\n'

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ebpf ## Build the tool and show it live on a small shop of real servers (ten seconds of it without a terminal)
	@$(say) "building apisec-top and the shop (release)"
	@cargo build --release --quiet --locked -p apisec-top -p apisec-demo
	@setup/as-root $(target)/release/apisec-top demo $$([ -t 1 ] || echo --headless --duration 10s --output table) $(ARGS)

.PHONY: run
run: ebpf ## Build the tool and run it on this node: make run ARGS="live --filter status>=500"
	@cargo build --release --quiet --locked -p apisec-top
	@setup/as-root $(target)/release/apisec-top $(ARGS)

.PHONY: test
test: ebpf ## Run every test; says which were skipped, and why
	@setup/system.sh test
	@.ci/test

.PHONY: ci
ci: ebpf ## What continuous integration runs: fmt, clippy, cargo-deny, and the tests without an unexpected skip
	@setup/system.sh test
	@setup/tools.sh
	@$(MAKE) fmt-check lint deny
	@.ci/test --strict

.PHONY: bench
bench: ebpf ## Measure on this machine, beside peers, and print one table
	@setup/system.sh bench
	@$(say) "building apisec-top (release)"
	@cargo build --release --quiet --locked -p apisec-top -p apisec-demo
	@cargo build --release --quiet --locked -p apisec-probe --example rehearsal --example policy_speed
	@bench/run $(ARGS)

.PHONY: kernels
kernels: ebpf ## Boot older and newer kernels in qemu, run the tool on each, and print what each lacks
	@ARGS="$(ARGS)" setup/system.sh kernels
	@$(say) "building apisec-top (release)"
	@cargo build --release --quiet --locked -p apisec-top
	@tests/kernels/run $(ARGS)

.PHONY: packages
packages: ebpf ## Build a static tarball, a .deb and an OCI image, and install and run each: make packages ARGS=aarch64
	@ARGS="$(ARGS)" setup/system.sh packages
	@packages/build $(ARGS)
	@packages/smoke $(ARGS)

.PHONY: setup
setup: ebpf ## Install everything that any of these needs
	@setup/system.sh bench
	@setup/tools.sh

.PHONY: ebpf
ebpf: ## Set up the compiler of the kernel programs
	@setup/rust.sh
	@setup/system.sh demo
	@setup/ebpf.sh

.PHONY: fmt
fmt: ## Format the sources
	@cargo fmt

.PHONY: fmt-check
fmt-check:
	@$(say) "cargo fmt --check"
	@cargo fmt --check

.PHONY: lint
lint: ## Clippy on everything, warnings are errors
	@$(say) "cargo clippy"
	@cargo clippy --quiet --locked --all-targets -- -D warnings

.PHONY: deny
deny: ## Licences, banned crates, the dependency fences, known vulnerabilities
	@$(say) "cargo deny check bans licenses sources"
	@cargo deny --log-level error check bans licenses sources
	@.ci/advisories
