# make demo   install, name three synthesised sounds, show one of them as a page
# make test   the tests; no network once it is installed
# make check  lint, format, types
# make chaos  downloads disturbed at random, COUNT rounds of each kind, drawn from SEED
# make bench  speed and size on this machine, printed and written to benchmarks/bench.json

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
COUNT ?= 20
SEED ?= 1

.PHONY: demo test check chaos bench

demo: $(VENV)/installed
	$(BIN)/python demo/make_sounds.py
	$(BIN)/escnn predict demo/siren.wav demo/church_bells.wav demo/clock_tick.wav --format table
	$(BIN)/escnn visualize demo/siren.wav --out demo/report --force
	@echo "The report is ready: open demo/report/report.html in a browser."

test: $(VENV)/installed
	$(BIN)/python -m pytest

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

chaos: $(VENV)/installed
	COUNT=$(COUNT) SEED=$(SEED) $(BIN)/python tests/chaos_download.py

bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "escnn needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@
