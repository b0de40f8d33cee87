# Two commands set up a fresh machine: `make demo` (or `make run SLIDE=path`) and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
BIN := $(VENV)/bin

.PHONY: demo run test lint audit check browser docs test-slow test-gpu bench image clean

demo: $(VENV)/.installed
	$(BIN)/wsipipe demo -o demo-out

run: $(VENV)/.installed
	@test -n "$(SLIDE)" || { echo "usage: make run SLIDE=path/to/slide.svs [OUT=folder]"; exit 2; }
	$(BIN)/wsipipe run "$(SLIDE)" -o "$(OUT)"

test: lint audit check docs

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -r wsipipe -ll

# asks a service on the internet; where there is none that is said, and within 10 s
audit: $(VENV)/.installed
	$(BIN)/python -m tests.audit

check: $(VENV)/.installed browser
	$(BIN)/python -m pytest -n 2 --dist worksteal

# report and viewer are tested in Debian's chromium; without it those tests are skipped by name
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "no chromium here: the tests in tests/browser are skipped"

# the tutorial is executed; a link that leads nowhere or a page that nobody links to is an error
docs: $(VENV)/.installed
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m "slow and not gpu"

test-gpu: $(VENV)/.installed
	$(BIN)/python -m pytest -m gpu

bench: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks.segment

image:
	docker build -t wsipipe .

# constraints.txt pins torch: a free choice takes whatever build the index has newest, often gigabytes of CUDA
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed: name one with PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo-out build dist docs/_build
