# What there is to run. `make demo` and `make test` need only Python 3.11 or newer and make: they set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PYTEST := $(BIN)/python -m pytest
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export NO_MKDOCS_2_WARNING := 1 # the banner about mkdocs 2 is news, not a fault of these pages
unexport PYTHONDONTWRITEBYTECODE # start-up is measured as users have it: with compiled modules

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo test fast lint servers bench docs build crash soak orchestrator-versions spark azure help clean

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"ematix needs Python 3.11 or newer, and $(PYTHON) is {sys.version.split()[0]}: set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv sync --frozen --all-extras --compile-bytecode --quiet
	@touch $@

demo: $(READY) ## a small shop, from files to a warehouse with history, in one minute
	$(BIN)/python examples/shop/demo.py

# Three tests at a time load two cores well beyond what a test's own servers and clocks expect. So CI runs what failed
# once more by itself, and says so: a fault fails again. Exit code 1 is "some tests failed", and nothing else.
ifdef CI
AGAIN = || { [ $$? -eq 1 ] && echo "FAILED BESIDE OTHERS, AND RUN AGAIN ALONE:" && $(PYTEST) --last-failed --last-failed-no-failures none; }
endif

test: servers lint docs ## everything that must hold before a merge: lint, all tests, docs
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder --durations=40 $(AGAIN)

# Left out are the folders whose tests wait, for databases, processes and the clock, and the pages of the docs.
FAST = $(addprefix tests/unit/,cli codecs config engine model observe query sql strategies test_*.py) tests/architecture

fast: $(READY) ## ruff, and the quick unit and architecture tests, more than half: a minute, no servers
	$(BIN)/ruff check && $(BIN)/ruff format --check
	$(PYTEST) -n 2 $(FAST) -m 'not slow' -k 'not snippets_of_the_page_run'

lint: $(READY) ## ruff, mypy, layers
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

servers: $(READY) ## the servers of the tests, on loopback, in .servers/; docs/how-to/servers.md
	$(BIN)/python -m tools.servers up

bench: $(READY) ## ratios against peers, measured in one run; memory; start-up; the scheduler: two hours, 8 GB of disk
	$(BIN)/python -m benchmarks.moves
	$(BIN)/python -m benchmarks.lake
	$(BIN)/python -m benchmarks.lake.s3
	$(BIN)/python -m benchmarks.tpch
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.scheduler
	$(BIN)/python -m benchmarks.airflow_adapter
	$(BIN)/python -m benchmarks.dagster_adapter
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.functions
	$(BIN)/python -m benchmarks.changes

docs: $(READY) ## the documentation, in site/
	$(BIN)/mkdocs build --strict --quiet

build: $(READY) ## wheel and source distribution, in dist/
	$(BIN)/uv build --quiet

crash: $(READY) ## kill at every failpoint, run again, compare: the full set
	EMATIX_CRASH=full $(PYTEST) tests/crash

soak: $(READY) ## property tests with the full number of cases
	EMATIX_SOAK=1 $(PYTEST) tests/property

orchestrator-versions: $(READY) ## the adapters' tests under older Airflows and Dagsters, in .orchestrators/: ten minutes
	$(BIN)/python -m tools.orchestrator_versions

spark: $(READY) ## Delta tables between ematix and a running Spark, each way, in .spark/: Java 17, Maven, five minutes
	$(BIN)/python -m tools.spark

azure: $(READY) ## tables in Azure's object store, on Azurite: Node.js, 360 MB, two minutes
	$(BIN)/python -m tools.servers up azure
	$(PYTEST) -n 2 tests/conformance/azure.py

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 18

clean: ## remove what the other targets made
	rm -rf .orchestrators .spark .venv build dist site .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
