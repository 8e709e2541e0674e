# What there is to do here. `make` alone lists it.

SOAK_MINUTES ?= 60
# Seconds for each target.
TIME ?= 60

.PHONY: help build test soak fuzz lint demo bench clean
.DEFAULT_GOAL := help

# As documented for each target, behind ##.
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Cargo builds a crate with all features that anybody in the same build asks for. So no crate of this
# workspace asks for the agent's unless it is told to, and whatever is built otherwise, the agent that
# ships is built with none of them. Its variants are programs with names of their own, built one set
# of features at a time, and --bin keeps the others from being built with that set. All this is done
# for the whole workspace, so that what the sets have in common is compiled once.
#
# A test looks into the agent for what must not be there (score_bridge_compiled_out.rs).
build: ## Build the programs: target/debug/harmony-agent, harmony-agent-with-scores, harmonyctl
	cargo build --workspace --locked
	cargo build --workspace --locked --features harmony-agent/score-bridge,motd-score/agent --bin harmony-agent-with-scores --bin motd-agent

# The end-to-end tests run the programs as they ship, and the agent once more with the points at
# which a test may kill it. All are built here because `cargo test` builds no programs.
test: build ## Run all tests, on a real NATS server and a real systemd, which are fetched where they are missing
	scripts/nats-server pinned
	scripts/nats-server 2.12.8
	cargo build --workspace --locked --features harmony-agent/crash-points,harmony-agent/score-bridge --bin harmony-agent-crash-points
	cargo test --workspace --locked
	cargo test --package harmony-agent --locked --features score-bridge --lib

# An older agent is built from the history, which takes minutes and a git checkout that has it.
#
# What shows only now and then needs many schedules, and each is another one. A schedule that finds a fault
# prints its seed: with HARMONY_SEED=… that one is run again and again instead (CONTRIBUTING.md).
soak: test ## Run all tests, those with an older agent, and random schedules of faults for SOAK_MINUTES (60)
	cargo test --locked --package tests --test e2e -- --nocapture --ignored older_agent
	SOAK_MINUTES=$(SOAK_MINUTES) cargo test --locked --package tests --test e2e -- --nocapture --ignored random_faults

# A fuzzer needs what only a nightly compiler has. What it finds that fails is kept in fuzz/artifacts, with the command
# that runs it again; what it learns goes into .cache/fuzz, and from there into fuzz-targets/corpus by CONTRIBUTING.md.
# Without a sanitizer: there is no unsafe code here that one would watch.
fuzz: ## Try to break all that reads bytes from outside, TIME=60 seconds each
	scripts/fuzz $(TIME)

lint: ## Check formatting, lints, licences, dependencies
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --workspace --all-targets --locked --features harmony-agent/crash-points,harmony-agent/score-bridge,motd-score/agent -- -D warnings
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --locked check bans licenses sources
	cargo test --locked --package tests --test e2e dependency_star

demo: ## See three devices converge, repair themselves, and refuse a bad document
	scripts/demo

# The bench builds the agent by itself, so that what is measured is what ships. PARTS="noop idle" measures these
# alone (bench/src/part.rs). CROWD="1000" makes for fewer agents at one server than the usual sizes
# (bench/src/crowd/mod.rs), or more: the server needs a descriptor for each.
bench: ## Measure what the agent costs, or PARTS of it, beside its floor, and write bench/RESULTS.md
	cargo bench --locked --package bench -- $(PARTS)

clean: ## Remove what was built and fetched
	cargo clean
	rm -rf .cache
