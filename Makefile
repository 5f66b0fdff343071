# Every target works from a fresh clone with cargo, python3, git, make, and compilers for C and C++.
# The rest (git-annex, SeaweedFS, rclone and more servers) is installed below target/ by `make peers`, pinned.

SHELL := /bin/bash
PEERS := target/peers
PEERS_BIN := $(CURDIR)/$(PEERS)/bin
SERVE := python3 testdata/peers/serve.py
STORE ?= fs
# store, cluster or sim.
DEMO ?= store
# Seconds for each fuzz target, of which two run side by side.
FUZZ_TIME ?= 60
FUZZ_LINT := check

# How many operations `make loss` does on each store, where it begins, and on which of them (a part of a test's name).
OPERATIONS ?= 10000
SEED ?= random
STORES ?=
# How many rounds of them are done side by side.
WORLDS ?= 6

# How often `make faults` does all of it, and at how many bytes it kills the gateway on each wire.
RUNS ?= 3
KILLS ?= 50

# yes: git-annex's testremote whole in every combination, also where that takes minutes each.
WHOLE ?= no

# Tests that need neither git-annex nor a server: of tests/special and tests/p2p these modules, of the others all.
space := $(subst ,, )
QUICK := --workspace --lib --bins --test house --test own_store
QUICK_MODULES := driver model transcripts http_model http_transcripts

export STREAM_TEST_PEERS := $(PEERS_BIN)
export STREAM_TEST_WHOLE := $(WHOLE)

.DEFAULT_GOAL := help
.PHONY: help build quick demo test dist image packages lint deny peers services rivals bench loss wanted sims sizes clusters faults fuzz clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## the release binary: target/release/git-annex-remote-stream
	cargo build --release --locked

# Their scratch is in memory where there is room: most of what they would wait for is a disk. `make test` has them on a disk.
QUICK_SCRATCH = $(shell test -w /dev/shm && test "$$(df --output=avail -k /dev/shm | tail -n 1)" -gt 2000000 && mktemp -d /dev/shm/quick.XXXXXX)

quick: ## the inner loop: every test that needs neither git-annex nor a server, in memory where there are 2 GB of /dev/shm
	@scratch='$(QUICK_SCRATCH)'; trap 'rm -rf "$$scratch"' EXIT; test -z "$$scratch" || export TMPDIR=$$scratch; \
	if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --locked --test-threads $$(($$(nproc) * 3)) $(QUICK) --test special --test p2p \
	    -E 'not binary(/^(special|p2p)$$/) | test(/^($(subst $(space),|,$(QUICK_MODULES)))::/)'; \
	else \
	  cargo test --locked $(QUICK) && cargo test --locked --workspace --test special --test p2p -- $(addsuffix ::,$(QUICK_MODULES)); \
	fi

demo: peers ## store, drop, get and check 300 MB; STORE=s3 does it on a SeaweedFS; DEMO=cluster on four nodes, one of which is killed; DEMO=sim proves a configuration
	cargo build --profile demo --locked --bin git-annex-remote-stream
	@$(if $(filter cluster sim,$(DEMO)),testdata/demo-$(DEMO).sh,testdata/demo.sh $(STORE))

# They are built in the end, so there is no use in checking them before.
test: FUZZ_LINT := build
test: lint peers services ## format, clippy and every test, also against the real programs; each fuzz target for FUZZ_TIME seconds
	@$(SERVE) all -- testdata/run-tests.sh
	@testdata/run-fuzz.sh $(FUZZ_TIME)

# JOBS is cargo's; TARGET is another one of its targets, such as x86_64-unknown-linux-musl.
dist: ## a wheel, a .deb and an .rpm in target/packages, with checksums, licences and an SBOM; TARGET=
	@packaging/dist.sh

image: ## an OCI image of the .deb, in target/packages (as root, with debootstrap and umoci)
	@packaging/image.sh

PARTS ?=
packages: ## install each package of `make dist` in a fresh venv or chroot, and store, drop and get a file there; PARTS="wheel deb"
	@testdata/packages/test.sh $(PARTS)

lint: ## format, clippy, documentation, and whether the fuzz targets compile
	@testdata/rust-tools.sh
	cargo fmt --all --check
	@testdata/run-fuzz.sh $(FUZZ_LINT)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --quiet --no-deps --document-private-items --workspace --locked

deny: ## licences, advisories and sources of the dependencies, by cargo-deny
	@cargo deny --version >/dev/null 2>&1 || { echo "make deny: cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --locked check

peers: ## install git-annex (of today, and of 2025), SeaweedFS, rclone and DataLad below target/
	@python3 testdata/peers/install.py $(PEERS)

services: ## install what else tests run against: moto, Swift, Azurite and promtool below target/; as root, Debian's openssh-server and nginx
	@python3 testdata/peers/install.py $(PEERS) services

rivals: ## install what the bench measures beside or with: the AWS CLI and s5cmd below target/; as root, nginx, fcgiwrap and wrk of Debian or Ubuntu
	@python3 testdata/peers/install.py $(PEERS) rivals
	@testdata/peers/rivals.sh

bench: build peers rivals ## measure beside git-annex, rclone, nginx and curl; results in bench/results/
	cargo run --release --locked --package bench

loss: peers ## random operations on each store against a model that loses nothing; OPERATIONS=10000 SEED=random STORES=
	@$(SERVE) weed rclone-s3 rclone-webdav -- env STREAM_TEST_SEED=$(SEED) STREAM_TEST_OPERATIONS=$(OPERATIONS) STREAM_TEST_WORLDS=$(WORLDS) \
	  cargo test --locked --test export loss::$(STORES) -- --test-threads 1 --nocapture

wanted: peers ## preferred content beside git-annex: 5,000 expressions, 200 repositories of 40 keys, a million cases of the plain evaluator
	STREAM_TEST_WANTED_EXPRESSIONS=5000 STREAM_TEST_WANTED_REPOSITORIES=200 STREAM_TEST_SEED=$(if $(filter random,$(SEED)),1,$(SEED)) \
	  cargo test --locked --workspace --test repository wanted:: -- --nocapture
	STREAM_TEST_WANTED_CASES=1000000 cargo test --locked --workspace --lib wanted::tests::agreement -- --nocapture

# How many networks `make sims` compares, and how many cases are tried by the reference.
NETWORKS ?= 300
# And how many networks of real clones it lets git annex sync.
CLONES ?= 50

sims: peers ## sims beside git annex sim on NETWORKS=300 random networks from SEED on, CLONES=50 of real clones, 1,000 proofs by the plain reference, and KILLS=50
	@env STREAM_TEST_SEED=$(if $(filter random,$(SEED)),1,$(SEED)) STREAM_TEST_SIM_NETWORKS=$(NETWORKS) STREAM_TEST_KILLS=$(KILLS) \
	  STREAM_TEST_SIM_CLONES=$(CLONES) \
	  cargo test --locked --workspace --test repository sim -- --nocapture
	STREAM_TEST_SIM_CASES=1000 cargo test --locked --workspace --lib sim::proof -- --nocapture

sizes: peers ## random changes by this program and git-annex, and both have to count the same; OPERATIONS=10000 SEED=1
	@env STREAM_TEST_SEED=$(if $(filter random,$(SEED)),$$RANDOM,$(SEED)) STREAM_TEST_OPERATIONS=$(OPERATIONS) \
	  cargo test --locked --workspace --test repository sizes_annex -- --test-threads 1 --nocapture

clusters: peers ## random commands of three git-annex clients of a cluster, whose copies are counted; OPERATIONS=10000 SEED=1 WORLDS=
	@env STREAM_TEST_SEED=$(if $(filter random,$(SEED)),$$RANDOM,$(SEED)) STREAM_TEST_OPERATIONS=$(OPERATIONS) STREAM_TEST_WORLDS=$(WORLDS) \
	  cargo test --locked --test gateway cluster_random -- --test-threads 1 --nocapture

faults: peers ## nodes of a cluster that fail, RUNS=3 times; then its gateway is killed at KILLS=50 bytes on each wire, from SEED on
	@for run in $$(seq $(RUNS)); do \
	  echo "== faults: run $$run of $(RUNS)"; \
	  $(SERVE) weed rclone-webdav -- cargo test --locked --workspace --test gateway -- cluster_faults:: cluster_stores:: || exit 1; \
	done
	@$(SERVE) weed rclone-webdav -- env STREAM_TEST_SEED=$(if $(filter random,$(SEED)),$$RANDOM,$(SEED)) STREAM_TEST_KILLS=$(KILLS) \
	  STREAM_TEST_TELL=1 cargo test --locked --workspace --test gateway -- cluster_kills:: --nocapture

fuzz: ## each fuzz target for FUZZ_TIME seconds, and nothing else
	@testdata/run-fuzz.sh $(FUZZ_TIME)

clean: ## remove all that was built or installed
	rm -rf target testdata/fuzz/target
