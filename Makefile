# What a developer and CI run. `make test` needs Rust, Python 3 and a C compiler; what else it can use, it finds or says so.

PYTHON ?= python3
VENV := target/venv
BINARY := target/debug/knowledge-mixing
NPM := $(shell command -v npm)
AZURITE := tests/azurite/node_modules/.package-lock.json

# For `make bench`: sizes are shape:documents.
TOKENIZER ?= assets/builtin-tokenizer
SIZES ?= wide:10,narrow:20
RUNS ?= 5

.PHONY: help test test-rust test-judge test-workflow test-browser lint bench criterion

help:
	@echo "make test        all tests (what needs Docker, npm or a browser is skipped, loudly, where there is none)"
	@echo "make lint        formatting and clippy"
	@echo "make bench       the program against its peers and the machine's floor, its storage layer against a bare copy;"
	@echo "                 TOKENIZER=folder SIZES=wide:10,narrow:20 RUNS=5"
	@echo "make criterion   the hot paths"

test: test-rust test-judge test-workflow test-browser

# Unit tests, properties, snapshots, and all that Rust drives end to end. The S3 server of PyPI and the Azure of npm are two of
# the backends.
test-rust: $(VENV)/installed $(if $(NPM),$(AZURITE))
	@$(if $(NPM),true,echo "SKIPPED: the storage tests on Azure: they need npm")
	KM_MOTO_PYTHON=$(abspath $(VENV)/bin/python) $(if $(NPM),KM_AZURITE=$(abspath tests/azurite/serve.mjs)) cargo test

# transformers itself judges every token count.
test-judge: $(VENV)/installed
	cargo build
	$(VENV)/bin/python tests/python/run_all.py --binary $(BINARY)

# Kubeflow's SDK, Argo's schema, Docker from source, compose.
test-workflow: $(VENV)/installed
	cargo build
	$(VENV)/bin/python tests/workflow/run_all.py $(BINARY)

# The report in a real browser.
test-browser:
	cargo build
	tests/browser/run.sh $(BINARY)

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

bench: $(VENV)/bench-installed
	cargo build --release
	$(VENV)/bin/python bench/run.py --binary target/release/knowledge-mixing --tokenizer $(TOKENIZER) --sizes $(SIZES) --runs $(RUNS) --keep
	cargo bench --bench storage -- --runs $(RUNS)

criterion:
	cargo bench --bench hot_paths

$(VENV)/installed: tests/python/requirements.txt tests/workflow/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt -r tests/workflow/requirements.txt
	touch $@

$(AZURITE): tests/azurite/package-lock.json
	cd tests/azurite && npm ci --silent --no-audit --no-fund
	touch $@

$(VENV)/bench-installed: $(VENV)/installed bench/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	touch $@
