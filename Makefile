# What a developer and CI run. `make test` needs Rust, Python 3 and a C compiler; it uses Docker, npm and a browser if they are
# installed, and reports what it skips.
#
# Everything is built with the release profile: the program, the tests, the lints and the image share one set of compiled
# dependencies. While editing, `cargo test --lib` (dev profile) is the quicker loop.

PYTHON ?= python3
VENV := target/venv
VENV4 := target/venv-transformers4
VENV_TRAINERS := target/venv-trainers
BINARY := target/release/knowledge-mixing
STATIC_BINARY := target/static/knowledge-mixing
# What `--version` shows of a binary that leaves this machine; empty without git or outside of a repository.
COMMIT = $(shell git rev-parse --short HEAD 2>/dev/null)
# Its data processing alone, without torch and everything around it.
DATA_PROCESSING := instructlab-training==0.16.2
NPM := $(shell command -v npm)
AZURITE := tests/azurite/node_modules/.package-lock.json
STORAGE_SERVERS = KM_MOTO_PYTHON=$(abspath $(VENV)/bin/python) $(if $(NPM),KM_AZURITE=$(abspath tests/azurite/serve.mjs))

# For `make bench`: sizes are shape:documents.
TOKENIZER ?= assets/builtin-tokenizer
SIZES ?= wide:10,narrow:20
RUNS ?= 5

.PHONY: help build static test test-long test-rust test-judge test-rows test-trainers test-packages test-docs test-workflow test-cluster test-browser lint bench compare criterion

help:
	@echo "make test        all tests of the gate; skips what needs Docker, npm or a browser if that is missing, and says so"
	@echo "make test-long   also the published trainers, a real Argo, the image from source, the ignored (long) tests, and all tests"
	@echo "                 with overflow checks"
	@echo "make test-cluster  Argo's templates on a real Kubernetes: that of KUBECONFIG, else one that is made (root, Go; 12 minutes once);"
	@echo "                 TESTS=parts of names"
	@echo "make test-trainers  the published trainers alone (6 GB of packages); TOKENIZERS=folder with more tokenizers"
	@echo "make lint        formatting and clippy"
	@echo "make static      the static binary of the image, in $(STATIC_BINARY)"
	@echo "make bench       the program against its peers and the machine's limits, its storage layer against a bare copy;"
	@echo "                 TOKENIZER=folder SIZES=wide:10,narrow:20 RUNS=5"
	@echo "make compare     the program against an earlier build of it: BEFORE=binary TOKENIZER=folder"
	@echo "make criterion   the hot paths"

build:
	cargo build --locked --release

# Only the binary's few lines and the last link differ from `build`: it knows its commit, and the C library is linked statically, so the
# file runs on an empty base image.
static:
	KNOWLEDGE_MIXING_COMMIT="$(COMMIT)" cargo rustc --locked --release --bin knowledge-mixing -- -C target-feature=+crt-static
	mkdir -p $(dir $(STATIC_BINARY))
	cp $(BINARY) $(STATIC_BINARY)

test: test-rust test-judge test-rows test-packages test-docs test-workflow test-browser

# Unit tests, properties, snapshots, and everything that Rust drives end to end. An S3 server from PyPI and an Azure emulator
# from npm are two of the storage backends.
test-rust: $(VENV)/installed $(if $(NPM),$(AZURITE))
	@$(if $(NPM),true,echo "SKIPPED: the storage tests on Azure: they need npm")
	$(STORAGE_SERVERS) cargo test --locked --release

# transformers checks every token count.
test-judge: $(VENV)/installed $(VENV4)/installed build
	$(VENV)/bin/python tests/python/run_all.py --binary $(BINARY) --transformers4 $(VENV4)/bin/python

# training_hub's published data processing makes the rows of our tokens files of our messages files; without torch.
test-rows: $(VENV)/installed $(VENV4)/installed build
	$(VENV)/bin/python tests/trainers/run_all.py --binary $(BINARY) --transformers4 $(VENV4)/bin/python --light

# The published trainers themselves: 6 GB of packages.
test-trainers: $(VENV_TRAINERS)/installed $(VENV4)/installed build
	$(VENV_TRAINERS)/bin/python tests/trainers/run_all.py --binary $(BINARY) --transformers4 $(VENV4)/bin/python $(if $(TOKENIZERS),--tokenizers $(TOKENIZERS))

# `pip install .` in a fresh venv, `cargo install`, the workflow that makes a release.
test-packages: $(VENV)/installed build
	$(VENV)/bin/python tests/packages/run_all.py

# What a newcomer runs and reads: the README's example, the notebook.
test-docs: $(VENV)/installed build
	$(VENV)/bin/python tests/docs/run_all.py $(BINARY)

# Kubeflow's SDK, Argo's schema, the image around the static binary, compose.
test-workflow: $(VENV)/installed static
	$(VENV)/bin/python tests/workflow/run_all.py $(STATIC_BINARY)

# pipelines/argo on a real Kubernetes with a real Argo, and an S3 server.
test-cluster: $(VENV)/installed static
	$(VENV)/bin/python tests/cluster/run_all.py $(STATIC_BINARY) $(TESTS)

# The report in a browser.
test-browser: build
	tests/browser/run.sh $(BINARY)

# What takes too long for every change: a real Argo, the image from source with the dist profile, long fuzzing and kill tests, and the
# dev profile, which checks arithmetic for overflow.
test-long: test test-trainers test-cluster
	$(STORAGE_SERVERS) cargo test --locked --release -- --ignored
	$(STORAGE_SERVERS) cargo test --locked
	$(VENV)/bin/python tests/workflow/run_all.py $(STATIC_BINARY) --from-source

# With the release profile, because clippy then uses the C libraries that were compiled for the program.
lint:
	cargo fmt --all --check
	cargo clippy --locked --release --workspace --all-targets -- -D warnings

bench: $(VENV)/bench-installed build
	$(VENV)/bin/python bench/run.py --binary $(BINARY) --tokenizer $(TOKENIZER) --sizes $(SIZES) --runs $(RUNS) --keep
	cargo bench --locked --bench storage -- --runs $(RUNS)

# Against an earlier build of the program: make compare BEFORE=binary
compare: build
	mkdir -p target/bench
	$(PYTHON) bench/compare.py --before $(BEFORE) --after $(BINARY) --tokenizer $(TOKENIZER)

criterion:
	cargo bench --locked --bench hot_paths

$(VENV)/installed: tests/python/requirements.txt tests/workflow/requirements.txt pipelines/argo/requirements.txt tests/trainers/requirements-light.txt \
		tests/packages/requirements.txt tests/docs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt -r tests/workflow/requirements.txt \
		-r tests/trainers/requirements-light.txt -r tests/packages/requirements.txt -r tests/docs/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(DATA_PROCESSING)
	touch $@

# transformers 4.57, which takes tokenizer.json as it is.
$(VENV4)/installed: tests/python/requirements-transformers4.txt
	$(PYTHON) -m venv $(VENV4)
	$(VENV4)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/python/requirements-transformers4.txt \
		-r tests/trainers/requirements-light.txt
	$(VENV4)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(DATA_PROCESSING)
	touch $@

$(VENV_TRAINERS)/installed: tests/trainers/requirements.txt
	$(PYTHON) -m venv $(VENV_TRAINERS)
	$(VENV_TRAINERS)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/trainers/requirements.txt
	touch $@

$(AZURITE): tests/azurite/package-lock.json
	cd tests/azurite && npm ci --silent --no-audit --no-fund
	touch $@

$(VENV)/bench-installed: $(VENV)/installed bench/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	touch $@
