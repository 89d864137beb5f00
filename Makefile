# Everything is set up on first use: a virtual environment, the native module, and several gunicorns.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
GUNICORNS := 21.2.0 23.0.0 25.3.0 27.0.1
DJANGOS := 4.2 6.0
DEPLOYMENTS := $(patsubst examples/%/hangup.diff,%,$(wildcard examples/*/hangup.diff))
SUITES := channels-4.0.0 channels-4.3.2 daphne-4.0.0 daphne-4.2.2
CORE   := -p hangup-core

# Installed byte-code is needed to measure imports; a parent's setting must not forbid it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: all setup build docs demo examples test test-all conformance bench lint types test-rust test-loom test-py fmt clean

all: test

## set up ----------------------------------------------------------------------------------------------
$(VENV)/ready: requirements-dev.txt requirements-optional.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements-dev.txt gunicorn
	@grep -v '^#' requirements-optional.txt | while read -r wanted; do \
	  $(BIN)/pip install --quiet "$$wanted" || echo "SKIPPED: $$wanted cannot be installed; its tests are skipped by name"; done
	touch $@

# Next to each other, first on the path of the server that a test starts.
.gunicorn/%/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --no-deps --target .gunicorn/$* gunicorn==$* && touch $@ \
	  || echo "SKIPPED: gunicorn $* cannot be installed on this Python; its tests are skipped by name"

# The oldest Socket.IO that is supported, with its oldest engineio: on the path of the services that a test starts.
.socketio/5.10.0/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --no-deps --target .socketio/5.10.0 \
	    python-socketio==5.10.0 python-engineio==4.8.0 Flask-SocketIO==5.3.5 && touch $@ \
	  || echo "SKIPPED: python-socketio 5.10.0 cannot be installed on this Python; its tests are skipped by name"

# By itself: it brings pyOpenSSL, and with that eventlet fails to patch what is imported already.
.daphne/4/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --target .daphne/4 'daphne>=4.2,<5' && touch $@ \
	  || echo "SKIPPED: daphne cannot be installed; its tests are skipped by name"

# By itself: it brings h2, with which dnspython imports so much that eventlet fails in the same way.
.hypercorn/0/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --target .hypercorn/0 'hypercorn>=0.17,<1' && touch $@ \
	  || echo "SKIPPED: hypercorn cannot be installed; its tests are skipped by name"

# By itself: it brings hypercorn.
.quart/0/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --target .quart/0 'quart>=0.19,<1' && touch $@ \
	  || echo "SKIPPED: quart cannot be installed; its tests are skipped by name"

# Djangos beside the newest that the Python at hand can run: first on the path of the server that a test starts.
.django/%/ready: | $(VENV)/ready
	@$(BIN)/pip install -qqq --no-deps --target .django/$* 'django==$*.*' 2>/dev/null && touch $@ \
	  || echo "SKIPPED: Django $* cannot be installed on this Python; its tests are skipped by name"

# Without what only its other checks need.
.health/4/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --no-deps --target .health/4 'django-health-check>=4' dnspython && touch $@ \
	  || echo "SKIPPED: django-health-check cannot be installed; its test is skipped by name"

# Channels and daphne with their tests, which their sdists do not all have.
.suites/needs/ready: | $(VENV)/ready
	@$(BIN)/pip install --quiet --no-deps --target .suites/needs pytest-asyncio pytest-django async-timeout && touch $@ \
	  || echo "SKIPPED: what the suites of Channels and daphne need cannot be installed; they are skipped by name"

# Where the archive on PyPI has no tests, the repository has.
.suites/%/ready: | $(VENV)/ready
	@mkdir -p .suites && rm -rf .suites/$* \
	  && { { $(BIN)/pip download --quiet --no-deps --no-binary $(firstword $(subst -, ,$*)) --dest .suites $(subst -,==,$*) \
	         && tar -xzf .suites/$*.tar.gz -C .suites && test -d .suites/$*/tests; } 2>/dev/null \
	    || { rm -rf .suites/$* && GIT_TERMINAL_PROMPT=0 timeout 60 git -c advice.detachedHead=false clone --quiet --depth 1 \
	         --branch $(lastword $(subst -, ,$*)) https://github.com/django/$(firstword $(subst -, ,$*)) .suites/$*; }; } \
	  && touch $@ || echo "SKIPPED: the source of $* cannot be had; its tests are skipped by name"

# What the deployments in examples pin. hangup is the one of this source tree.
.examples/%/ready: examples/%/requirements.txt | $(VENV)/ready
	@rm -rf .examples/$* && mkdir -p .examples/$* && grep -v '^hangup' $< > .examples/$*/pins.txt \
	  && $(BIN)/pip install --quiet --target .examples/$* -r .examples/$*/pins.txt && touch $@ \
	  || echo "SKIPPED: the packages of $* cannot be installed; its deployment is skipped by name"

# The JavaScript clients.
JS := tests/e2e/js
$(JS)/node_modules/ready: $(JS)/package-lock.json
	@if ! command -v npm >/dev/null; then echo "SKIPPED: npm is not installed; the tests of JavaScript's clients are skipped by name"; \
	else cd $(JS) && npm ci --silent --ignore-scripts && touch node_modules/ready \
	  || echo "SKIPPED: JavaScript's clients cannot be installed; their tests are skipped by name"; fi

setup: $(VENV)/ready $(GUNICORNS:%=.gunicorn/%/ready) .socketio/5.10.0/ready .daphne/4/ready .hypercorn/0/ready .quart/0/ready $(DJANGOS:%=.django/%/ready) .health/4/ready .suites/needs/ready $(SUITES:%=.suites/%/ready) $(JS)/node_modules/ready \
  $(DEPLOYMENTS:%=.examples/%/ready)

build: $(VENV)/ready
	$(BIN)/maturin develop --release --quiet

docs:
	$(BIN)/python -m hangup._logs.document > docs/logging.md
	$(BIN)/python -m hangup._explain.document > docs/errors.md
	$(BIN)/python -m hangup._doctor.document > docs/doctor.md

## the main job -----------------------------------------------------------------------------------------
demo: setup build
	$(BIN)/hangup demo

# Five deployments, as they were and with hangup, and what users complained about: one table.
examples: setup build
	PYTHONPATH=tests $(BIN)/python -m deployments

# The peers are skipped by name where they cannot be installed.
bench: setup build
	cargo build --release --quiet -p hangup-load
	@npm ci --prefix benches/node --no-audit --no-fund --silent || echo "SKIPPED: Node's Socket.IO cannot be installed"
	$(BIN)/python -m benches

## tests ------------------------------------------------------------------------------------------------
test: setup build lint types test-rust test-loom test-py

test-all: test
	cargo test $(CORE) --all-features --release --quiet -- --include-ignored
	$(BIN)/pytest -q -m slow

# Other people's test suites: docs/conformance.md.
conformance: setup build
	$(BIN)/pytest -q -rs tests/conformance tests/e2e/test_channels_suites.py

lint: $(VENV)/ready
	@cargo fmt --version >/dev/null 2>&1 && cargo fmt --all --check || { cargo fmt --version >/dev/null 2>&1 && exit 1 || echo "SKIPPED: rustfmt is not installed"; }
	@cargo clippy --version >/dev/null 2>&1 || { echo "SKIPPED: clippy is not installed"; exit 0; } && cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
	$(BIN)/ruff format --check --quiet python tests benches
	$(BIN)/ruff check --quiet python tests benches

types: build
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest hangup._hangup --allowlist tests/stubtest_allowlist.txt --ignore-unused-allowlist

test-rust:
	cargo test $(CORE) --all-features --release --quiet
	cargo test -p hangup-load --quiet

test-loom:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test $(CORE) --lib --release --quiet

test-py: setup build
	$(BIN)/pytest -q -m "not slow" -n 2 --dist loadfile

fmt:
	cargo fmt --all
	$(BIN)/ruff format python tests benches
	$(BIN)/ruff check --fix python tests benches

clean:
	rm -rf target $(VENV) .gunicorn .socketio .daphne .hypercorn .quart .django .health .suites .examples $(JS)/node_modules benches/node/node_modules
