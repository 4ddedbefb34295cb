# What a developer and CI run. `make test` needs Rust, Python 3 and a C compiler; what else it can use, it finds or says so.

PYTHON ?= python3
VENV := target/venv
VENV_PYTHON := $(VENV)/bin/python

.PHONY: test test-rust test-judge test-workflow test-browser bench criterion lint help

help:
	@echo "make test        all tests (Docker, a browser: skipped loudly where there is none)"
	@echo "make lint        formatting and clippy"
	@echo "make bench       the program against its peers and the machine's floor (SIZES=wide:10 RUNS=5 TOKENIZER=folder)"
	@echo "make criterion   the hot paths"

test: test-rust test-judge test-workflow test-browser
	@tests/summary.sh

# Unit tests, properties, snapshots, and everything end to end that Rust drives.
test-rust:
	cargo test --workspace

$(VENV)/installed: tests/python/requirements.txt tests/workflow/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt -r tests/workflow/requirements.txt
	touch $@

# transformers itself judges every token count.
test-judge: $(VENV)/installed
	cargo build
	$(VENV_PYTHON) tests/python/run_all.py --binary target/debug/knowledge-mixing

# Kubeflow's SDK, Argo's schema, Docker.
test-workflow: $(VENV)/installed
	$(VENV_PYTHON) tests/workflow/run_all.py

# The report in a real browser.
test-browser:
	tests/browser/run.sh

lint:
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
