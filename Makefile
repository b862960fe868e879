# The commands of the project. Each installs what it needs by scripts/setup, which says what and why.
# Everything is built in one folder outside the clone: $CARGO_TARGET_DIR, else starling/target in the cache folder.

export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/starling/target
# Debian keeps nft out of an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help run test demo bench bench-voice bench-echo bench-calls bench-cost bench-groups long lab sim fmt clean-target

help:
	@echo "make run           build Starling and open it"
	@echo "make test          house rules, formatting, lints and every test"
	@echo "make demo          a supernode, Alice and Bob meet, chat, call and send a file"
	@echo "make bench         the benchmarks (release build); writes docs/benchmarks.md"
	@echo "make bench-voice   how the voice sounds on bad lines (release build); writes docs/benchmarks.md"
	@echo "make bench-echo    what is left of an echo (release build); writes docs/benchmarks.md"
	@echo "make bench-calls   how soon calls are heard, warm and cold, each way (release build); writes docs/benchmarks.md"
	@echo "make bench-cost    what a call costs: processor, bytes (release build); writes docs/benchmarks.md"
	@echo "make bench-groups  what a group of devices costs by its size (release build); writes docs/benchmarks.md"
	@echo "make long          a thousand calls on one pair of nodes; the ordering of commits, checked completely (release build); writes docs/benchmarks.md"
	@echo "make lab           calls between all kinds of NATs; writes docs/benchmarks.md"
	@echo "make sim           thousands of simulated nodes, compared with the committed reports"
	@echo "make fmt           format the code"
	@echo "make clean-target  remove what was built: $(CARGO_TARGET_DIR)"

# `--workspace`, everywhere: all commands then build the dependencies with the same features, once.
run:
	@scripts/setup run
	cargo build --locked --workspace --bin starling
	$(CARGO_TARGET_DIR)/debug/starling

# The short checks stand first. Every step must pass.
test:
	@scripts/setup test
	cargo xtask tidy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo xtask test

demo:
	@scripts/setup demo
	cargo build --locked --workspace --bin starling --bin demo
	$(CARGO_TARGET_DIR)/debug/demo

bench:
	@scripts/setup bench
	cargo build --locked --release --workspace --bin starling --bin bench --bin starling-swarm
	$(CARGO_TARGET_DIR)/release/bench --markdown docs/benchmarks.md

bench-voice:
	@scripts/setup voice
	cargo build --locked --release --workspace --bin starling --bin voice
	$(CARGO_TARGET_DIR)/release/voice --python "$$(scripts/scores)" --markdown docs/benchmarks.md

bench-echo:
	@scripts/setup voice
	cargo build --locked --release --workspace --bin echo
	$(CARGO_TARGET_DIR)/release/echo --python "$$(scripts/scores)" --markdown docs/benchmarks.md

bench-calls:
	@scripts/setup bench
	cargo build --locked --release --workspace --bin starling --bin calls
	$(CARGO_TARGET_DIR)/release/calls setup --markdown docs/benchmarks.md

bench-cost:
	@scripts/setup test
	cargo build --locked --release --workspace --bin starling --bin calls --bin ear
	$(CARGO_TARGET_DIR)/release/calls cost --markdown docs/benchmarks.md
	$(CARGO_TARGET_DIR)/release/ear

bench-groups:
	@scripts/setup run
	cargo build --locked --release --workspace --bin groups
	$(CARGO_TARGET_DIR)/release/groups --markdown docs/benchmarks.md

long:
	@scripts/setup bench
	cargo build --locked --release --workspace --bin starling --bin calls
	$(CARGO_TARGET_DIR)/release/calls long --markdown docs/benchmarks.md
	cargo build --locked --release --package starling-lab-sim --bin model
	$(CARGO_TARGET_DIR)/release/model
	cargo test --locked --release --package starling-lab-sim --test it order_10_many -- --ignored

lab:
	@scripts/setup bench
	cargo build --locked --workspace --bin starling --bin lab
	$(CARGO_TARGET_DIR)/debug/lab --markdown docs/benchmarks.md

# Release: `standing` has 100,000 nodes.
sim:
	@scripts/setup run
	cargo build --locked --release --package starling-lab-sim --bin sim
	$(CARGO_TARGET_DIR)/release/sim $(wildcard lab/sim/scenarios/*.toml)

fmt:
	cargo fmt --all

clean-target:
	cargo clean
