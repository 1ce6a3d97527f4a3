# make demo   install, name three synthesised sounds, show one of them as a page
# make test   the tests; no network once it is installed; make test-slow those that take long
# make check  lint, format, types
# make fuzz   COUNT damaged files and COUNT whole commands (20,000) drawn from SEED (0), a table of what became of them
# make chaos  a kill at every write of predict, train and download; then COUNT kills of a training (30) and COUNT
#             disturbed downloads of each kind (20) at moments drawn from SEED (1)
# make bench  speed and size on this machine, printed and written to benchmarks/*.json and docs/speed.png

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-slow check chaos fuzz bench

demo: $(VENV)/installed
	$(BIN)/python demo/make_sounds.py
	$(BIN)/escnn predict demo/siren.wav demo/church_bells.wav demo/clock_tick.wav --format table
	$(BIN)/escnn visualize demo/siren.wav --out demo/report --force
	@echo "The report is ready: open demo/report/report.html in a browser."

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 3 --dist worksteal

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

chaos: $(VENV)/installed
	$(BIN)/python tests/chaos/every_write.py
	$(BIN)/python tests/chaos/training.py $(or $(COUNT),30) $(or $(SEED),1)
	COUNT=$(or $(COUNT),20) SEED=$(or $(SEED),1) $(BIN)/python tests/chaos/download.py

bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/inference.py plot
	$(BIN)/python benchmarks/serve.py

fuzz: $(VENV)/installed
	PYTHONPATH=tests $(BIN)/python -m fuzz --count $(or $(COUNT),20000) --cases $(or $(COUNT),20000) --seed $(or $(SEED),0)

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "escnn needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@
