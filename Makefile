# Two commands set up a fresh machine: `make demo` (or `make run SLIDE=path`) and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
BIN := $(VENV)/bin

.PHONY: demo run test lint check test-slow test-gpu bench image clean

demo: $(VENV)/.installed
	$(BIN)/wsipipe demo -o demo-out

run: $(VENV)/.installed
	@test -n "$(SLIDE)" || { echo "usage: make run SLIDE=path/to/slide.svs [OUT=folder]"; exit 2; }
	$(BIN)/wsipipe run "$(SLIDE)" -o "$(OUT)"

test: lint check

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

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
	rm -rf $(VENV) demo-out build dist
