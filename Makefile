# Two commands for newcomers: `make run` and `make test`. They provide what cargo needs first.
#
# LIBTORCH is the same in every call, since a changed one rebuilds torch-sys' C++: yours, if set,
# else .libtorch/libtorch, which scripts/libtorch.sh fills or links. (.cargo/config.toml sets the
# same for a bare `cargo build`.)

export LIBTORCH ?= $(CURDIR)/.libtorch/libtorch
# torch-sys would ask Python again; the script has done so.
CARGO = env -u LIBTORCH_USE_PYTORCH cargo

# What `make run` passes on, e.g. ARGS="train configs/long-tail.toml --seed 7"
ARGS ?=

# torch-sys takes 2.9.0 alone where a LibTorch tells its version; 2.10 and 2.11 work, too.
ifneq ($(shell LIBTORCH='$(LIBTORCH)' ./scripts/flavour.sh 2>/dev/null | grep -E '^2\.1[01]\.'),)
export LIBTORCH_BYPASS_VERSION_CHECK ?= 1
endif

.PHONY: run build test test-peers test-flavour test-libtorch test-nvrtc gpu-pack fuzz check study
.PHONY: doc libtorch help clean
.DEFAULT_GOAL := help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'With arguments: make run ARGS="train configs/long-tail.toml"'

run: build ## build, then open the cockpit on the demo
	@# 130: stopped by hand
	@$(CARGO) run --quiet --locked -- $(ARGS) || { code=$$?; [ $$code -eq 130 ] || exit $$code; }

build: libtorch ## provide LibTorch, build target/debug/earlybird (optimised)
	$(CARGO) build --locked

# Tests run side by side, each with LibTorch's threads: spinning ones would take the cores from
# each other (measured on two cores: 140 s spinning, 65 s not).
test check fuzz: export OMP_WAIT_POLICY = passive

test: libtorch ## run every test
	$(CARGO) test --locked

check: libtorch ## what CI runs: formatting, lints, every test
	cargo fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked

# How many changed files each reader gets, and the first seed: make fuzz FUZZ=1000000 SEED=7
FUZZ ?= 300000
SEED ?= 1

fuzz: libtorch ## test every reader of files on many changed files (FUZZ=300000 SEED=1)
	EARLYBIRD_FUZZ=$(FUZZ) EARLYBIRD_FUZZ_SEED=$(SEED) \
		$(CARGO) test --locked --test promises fuzz::

test-peers: build ## have PyTorch and TensorBoard read what earlybird writes (fetches both)
	@python=$$(./scripts/peers.sh) && cd tests/peers && $$python -m unittest -v

test-nvrtc: libtorch ## compile the CUDA kernels for several GPUs; needs none (fetches NVRTC)
	EARLYBIRD_NVRTC=$$(./scripts/nvrtc.sh) $(CARGO) test --locked --lib nvrtc -- --ignored --nocapture

gpu-pack: ## pack the program, tests and peers for scripts/gpu_check.sh on a GPU machine
	./scripts/gpu_pack.sh

# One comparison of them: make study STUDY=embedded-50
STUDY ?=

study: build ## the comparisons behind docs/results.md: hours on two cores, resumable
	EARLYBIRD=target/debug/earlybird scripts/study.sh study $(STUDY)

doc: libtorch ## build the code's documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

libtorch: ## provide LibTorch only
	@./scripts/libtorch.sh
	@./scripts/flavour.sh --notice

test-flavour: ## see that a change from CPU to CUDA is noticed and linked (fetches 900 MB; slow)
	./scripts/flavour_test.sh

# Another LibTorch than the one that the program is made for: make test-libtorch VERSION=2.11.0
VERSION ?= 2.11.0

test-libtorch: ## run every test with another version of LibTorch, beside the usual build (slow)
	@EARLYBIRD_LIBTORCH_VERSION=$(VERSION) LIBTORCH= ./scripts/libtorch.sh
	LIBTORCH="$(CURDIR)/.libtorch/$(VERSION)" LIBTORCH_BYPASS_VERSION_CHECK=1 \
		CARGO_TARGET_DIR="$(CURDIR)/target/libtorch-$(VERSION)" OMP_WAIT_POLICY=passive \
		$(CARGO) test --locked

clean: ## remove what was built; LibTorch stays
	cargo clean
