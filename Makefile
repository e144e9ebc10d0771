# `make demo` and `make test` work on a fresh clone: each makes .venv first if it is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow test-all first lint fix docs bench clean

demo: .venv/ready
	$(BIN)/golf demo

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# what a change is tried on: under ten minutes on two cores; CI goes on with the slow ones
test: .venv/ready
	$(PYTEST) -m "not slow"

slow: .venv/ready
	$(PYTEST) -m slow

test-all: .venv/ready
	$(PYTEST)

# lint, types, and the tests of one room (a folder of tests/): what to run after each change
NAME ?=
first: .venv/ready
	@test -z "$(NAME)" -o -d "tests/$(NAME)" || { echo "no room tests/$(NAME); there are:"; ls -d tests/*/; exit 2; }
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow" tests/test_house.py $(if $(NAME),tests/$(NAME))

docs: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: .venv/ready
	@test -f "benchmarks/$(NAME).py" || { echo "make bench NAME=…: $$(ls benchmarks/*.py | sed 's,benchmarks/,,; s,\.py,,' | tr '\n' ' ')"; exit 2; }
	$(BIN)/python benchmarks/$(NAME).py $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/golf compose --all --check

fix: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/golf compose --all

# The stamp is written last, so that an interrupted set-up is done again.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,plot,sae]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info golf-demo
