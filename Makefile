# The whole project by a few words. Bare `make` prints them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install run down test lint types imports screen pytest chaos bench-etl bench-stream bench-stream-peers bench-detect format lock env-example

BIN := .venv/bin
PACKAGES := kakou etl spark_jobs serving sql
SOURCES := $(PACKAGES) dags tests

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## install all that the project needs; a second time takes a moment
	@kakou/stack/bootstrap.sh
	@$(BIN)/python -m kakou.stack.install

run: install ## do the main job once and leave the stack up (RAW=dir for your own export, REPLAY_SECONDS=, CLONES=)
	@exec $(BIN)/kakou run $(if $(RAW),--raw "$(RAW)") $(if $(REPLAY_SECONDS),--seconds $(REPLAY_SECONDS)) $(if $(CLONES),--clones $(CLONES))

down: ## stop every service and leave no process
	@if [ -x $(BIN)/kakou ]; then exec $(BIN)/kakou down; else echo "Nothing is installed, so nothing runs."; fi

test: install lint types imports screen pytest ## install, check and run every test; works beside a running stack

lint: ## style
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check -q $(SOURCES) || { echo "kakou: run 'make format'" >&2; exit 1; }

types: ## static types
	@$(BIN)/mypy $(PACKAGES)

imports: ## who may import whom
	@$(BIN)/lint-imports

screen: ## tests of the screen's own code
	@$(BIN)/python -m kakou.stack.screen test

# The examples in docstrings are tests too; alembic's files run only inside alembic.
pytest:
	@exec $(BIN)/python -m pytest -m "not chaos and not bench" \
		--doctest-modules --ignore=sql/migrations tests $(PACKAGES) $(PYTEST)

chaos: install ## the long fault tests, about 25 minutes; ends with a table of what was survived (PYTEST="-k redis")
	@exec $(BIN)/python tests/chaos/side_by_side.py $(PYTEST)

bench-etl: install ## the batch against a hand-written script, 5 million rows, about 8 minutes (BENCH="--quick --force")
	@exec $(BIN)/python tests/bench/bench_etl.py $(BENCH)

bench-stream: install ## the stream on 1.2 million records, about 12 minutes (BENCH="--kills --soak 30", "--quick --force")
	@exec $(BIN)/python tests/bench/bench_stream.py $(BENCH)

bench-stream-peers: install ## detection beside PyFlink, Quix Streams and others on 1.2 million records, about 9 minutes (BENCH="--only ours,flink", "--quick --force")
	@exec $(BIN)/python tests/bench/bench_stream_peers.py $(BENCH)

bench-detect: install ## what detection finds on five labelled worlds, beside the usual rules, about 3 minutes
	@exec $(BIN)/python tests/bench/bench_detect.py $(BENCH)

format: ## put the sources into the one format
	@$(BIN)/ruff check -q --fix $(SOURCES) || true
	@$(BIN)/ruff format -q $(SOURCES)

lock: ## make requirements.lock anew from requirements.in and requirements-dev.in
	@$(BIN)/uv pip compile requirements-dev.in --python-version 3.11 --no-header --no-annotate -q -o requirements.lock

env-example: ## make .env.example anew from kakou/settings.py
	@$(BIN)/python -m kakou.stack.env_example
