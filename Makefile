# `make` alone lists what there is. Works with GNU make 3.81 and later, and with a space in the path.
# The first target that needs them makes .venv and node_modules from the lock files (tools/bootstrap.py).

.DEFAULT_GOAL := help
.PHONY: help demo up viewer test check bench soak test-rest test-core test-contracts \
	check-lint check-format check-types check-imports check-contracts check-artefacts check-slither \
	lint format contracts docs messages vendored tutorial-pictures gas lock clean run-environment develop-environment

BIN := .venv/bin
NPM := "$(CURDIR)/$(BIN)/npm" run --silent
# npm's scripts look for `node` on the PATH
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## List the targets
	@echo "Consentry. Usage: make TARGET"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' Makefile | while read -r name text; do printf '  %-17s %s\n' "$$name" "$$text"; done

# --- Using it

demo: run-environment ## Play the whole story on an embedded chain and archive (DEMO_EXIT=1 stops at the end)
	@exec $(BIN)/consentry demo

up: run-environment ## Start the same stack for use; state is kept in data/ and resumed
	@exec $(BIN)/consentry up

viewer: run-environment ## Fetch the OHIF viewer (50 MB), which the gateway then serves at /viewer
	@$(BIN)/python -m tools.viewer $(if $(CONSENTRY_VIEWER_DIR),'$(CONSENTRY_VIEWER_DIR)')

# --- Working on it

# Each room of the tests in a process of its own, as many at a time as there are cores here (JOBS=…): much of a room is
# waiting. What a room says is shown whole when it is done (GNU make 4 and later; 3.81 mixes the lines). The longest
# begin first. Solidity's compiler has one cache, so whoever builds takes turns.
CORE_TESTS := $(wildcard tests/core_*)
ROOMS := browser story gateway api oauth store
ELSEWHERE := $(CORE_TESTS) $(addprefix tests/,$(ROOMS) contracts_build)
JOBS ?= 2
TOGETHER = $(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=$(JOBS)) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
PYTEST := $(BIN)/python -m pytest $(if $(SEED),--seed=$(SEED))

test: develop-environment ## All tests, two rooms at a time: pytest, full branch coverage of app/core, Solidity
	@$(MAKE) --no-print-directory $(TOGETHER) $(addprefix test-,$(ROOMS)) test-rest test-core test-contracts

.PHONY: $(addprefix test-,$(ROOMS))
$(addprefix test-,$(ROOMS)): develop-environment
	@echo "--- tests/$(@:test-%=%)"
	@$(PYTEST) tests/$(@:test-%=%)

test-rest: develop-environment
	@echo "--- the other rooms"
	@$(PYTEST) $(addprefix --ignore=,$(ELSEWHERE))

# The core owes every branch to tests of its own; measuring the others too would slow them for nothing
test-core: develop-environment
	@echo "--- app/core: every branch"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(CORE_TESTS) $(if $(SEED),--seed=$(SEED))
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --include='app/core/*' --fail-under=100 --skip-covered

test-contracts: develop-environment
	@echo "--- contracts"
	@$(PYTEST) tests/contracts_build
	@$(NPM) test:sol

check: check-lint check-format check-types check-imports check-contracts check-artefacts check-slither ## Every static check, the same as in CI

check-lint: develop-environment
	@echo "--- ruff"
	@$(BIN)/ruff check .

check-format: develop-environment
	@echo "--- ruff format"
	@$(BIN)/ruff format --check .

check-types: develop-environment
	@echo "--- mypy"
	@$(BIN)/mypy

check-imports: develop-environment
	@echo "--- import-linter"
	@$(BIN)/lint-imports --no-cache

check-contracts: develop-environment
	@echo "--- solhint, prettier"
	@$(NPM) lint:sol

# From an empty cache, so that nothing is left over that Slither would read as well
check-artefacts: develop-environment
	@echo "--- the committed ABIs are those of the contracts"
	@node_modules/.bin/hardhat clean
	@node_modules/.bin/hardhat build --no-tests --quiet
	@$(BIN)/node contracts/tooling/export_abi.js --check

check-slither: check-artefacts
	@echo "--- slither"
	@$(BIN)/slither . --fail-low

bench: develop-environment ## Requests through Consentry beside the PACS asked directly, with ratios
	@$(BIN)/python -m bench

soak: develop-environment ## The promises' tests at release size (hours); SEED=… repeats a run
	@$(BIN)/python -m pytest -m soak --profile=soak -o faulthandler_timeout=0 $(if $(SEED),--seed=$(SEED))

lint: check-lint check-types check-imports ## The checks that take seconds

format: develop-environment ## Rewrite Python, Solidity and JavaScript in the house format
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@$(NPM) format:sol

contracts: develop-environment ## Compile the contracts and write the ABIs the gateway uses
	@$(NPM) build

docs: develop-environment ## Write docs/COMMANDS.md from the command line's own help
	@$(BIN)/python -m tools.command_page

messages: develop-environment ## Collect what the portal says into its catalogues, for translators
	@$(BIN)/python -m tools.messages

vendored: develop-environment ## Copy the scripts that browsers get from npm packages, as they were published
	@$(BIN)/python -m tools.vendored

tutorial-pictures: develop-environment ## Play docs/TUTORIAL.md in a browser and write its pictures
	@$(BIN)/python -m tests.browser.tutorial docs/pictures

gas: develop-environment ## Gas per access and per consent
	@$(NPM) gas

# No index address is written; `make lock UPGRADE=1` takes the newest versions that pyproject.toml allows.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version=3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command='make lock' $(if $(UPGRADE),--upgrade) pyproject.toml --group=build

lock: develop-environment ## Write the lock files again from pyproject.toml and package.json
	@$(LOCK) --output-file=requirements.txt
	@$(LOCK) --group=dev --constraint=requirements.txt --output-file=requirements-dev.txt
	@"$(CURDIR)/$(BIN)/npm" install --package-lock-only --ignore-scripts
	@$(BIN)/python tools/complete_npm_lock.py

clean: ## Remove everything that make made, but the data folder
	rm -rf .venv node_modules viewer viewer.partial artifacts cache coverage .coverage .coverage.* test-artefacts \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- What the targets stand on. Another interpreter: make demo PYTHON=/usr/bin/python3.12

BOOTSTRAP = python=$$(PYTHON='$(PYTHON)' sh tools/find_python.sh) && "$$python" tools/bootstrap.py

run-environment:
	@$(BOOTSTRAP) run

develop-environment:
	@$(BOOTSTRAP) develop
