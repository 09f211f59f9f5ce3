# `make demo` and `make test` set up by themselves what they need; so does every other target.

VENV := .venv
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
EXTRAS ?= tensorflow-cpu,jax,onnx-tools,tracking,dev
EPOCHS ?= 10
TESTS ?= -n logical --maxprocesses 4 --dist worksteal

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
READY := $(VENV)/ready
LOCK := build/lock

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow mutants check bench bench-train lock clean

help:
	@echo 'make demo       compile a model with report and drawing, train it on drawn traffic signs, show how well it does'
	@echo 'make test       run the tests, on up to four cores'
	@echo 'make test-slow  run the long sweeps'
	@echo 'make mutants    plant mistakes in the rules, one after the other, and see whether the tests notice'
	@echo 'make check      look for mistakes in style and types'
	@echo 'make bench      measure speed and memory against their bars'
	@echo 'make bench-train  measure how fast networks train here, by each way there is (12 minutes)'
	@echo 'make install    only set up $(VENV)'
	@echo 'make lock       resolve the versions in constraints.txt anew'
	@echo 'make clean      remove what make made'

demo: $(READY)
	@rm -rf demo/run
	@mkdir -p demo
	$(BIN)/specdsl compile specs/bn_cnn.spec --report --diagram demo/bn_cnn.svg --emit python -o demo/bn_cnn.py
	$(BIN)/specdsl train specs/bn_cnn.spec --data synthetic --epochs $(EPOCHS) --out demo/run

# In a process for each core: each loads TensorFlow for itself, in 20 seconds and a gigabyte.
test: $(READY)
	@$(BIN)/python -m pytest $(TESTS)

test-slow: $(READY)
	@$(BIN)/python -m pytest -m slow --hypothesis-profile=random

mutants: $(READY)
	@$(BIN)/python -m tests.keras.mutants

check: $(READY)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python -m compileall -q specdsl
	@$(BIN)/python bench/report.py

bench-train: $(READY)
	@$(BIN)/python -m compileall -q specdsl bench
	@$(BIN)/python -m bench.train $(if $(WRITE),--write)

install: $(READY)
	@echo 'specdsl is in $(BIN)/specdsl'

# Without pip at first, since some systems split it from venv; then Python's own pip, or else that of the system.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'specdsl needs Python 3.11, 3.12 or 3.13, and found none: set PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -m venv --clear --without-pip $(VENV)

# Compiled ahead, since start-up time counts and PYTHONDONTWRITEBYTECODE may forbid to do it later.
$(READY): $(BIN)/python pyproject.toml constraints.txt
	@echo 'Setting up $(VENV): 550 MB to fetch, 2.6 GB on disk' >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
		|| $(BIN)/python -m ensurepip >/dev/null 2>&1 \
		|| $(PYTHON) -m pip --quiet --python $(BIN)/python install pip \
		|| { echo "$(PYTHON) has neither ensurepip nor pip: install one (Debian: python3-venv or python3-pip)" >&2; exit 1; }
	@$(PIP) install --constraint constraints.txt pip
	@$(PIP) install --constraint constraints.txt --build-constraint constraints.txt --editable '.[$(EXTRAS)]'
	@$(BIN)/python -m compileall -q specdsl
	@touch $@

# On Linux x86-64, where TensorFlow comes as tensorflow-cpu; elsewhere it is tensorflow, of the same version.
lock:
	@rm -rf $(LOCK)
	@$(PYTHON) -m venv $(LOCK)
	@$(LOCK)/bin/python -m pip install --quiet --upgrade pip setuptools hatchling editables
	@$(LOCK)/bin/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	@{ echo '# What `make install` installs, to the version. Made by `make lock`.'; \
		$(LOCK)/bin/python -m pip freeze --all --exclude-editable \
		| sed 's/^tensorflow_cpu==\(.*\)/tensorflow==\1\n&/'; } >constraints.txt
	@rm -rf $(LOCK)

clean:
	@if test -e $(READY); then rm -rf $(VENV); fi
	@rm -rf demo $(LOCK) .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find specdsl tests bench -name __pycache__ -prune -exec rm -rf {} +
