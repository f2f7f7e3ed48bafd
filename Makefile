.DEFAULT_GOAL := help
.PHONY: help setup demo planted check test simulate soak fuzz bench other-languages lint gen proto-check clean
PYTHON ?= python3

help: ## List what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: ## Make .venv with everything needed (python3 and pip are enough)
	@PYTHON=$(PYTHON) scripts/setup

demo: setup ## Watch real sagas run, fail, compensate and survive a crash (STORE=redis COORDINATORS=3)
	@.venv/bin/python -m examples.order_saga.demo

check: setup ## Before every commit: lint, and the quick tests; under 2 minutes on two cores
	@scripts/check

test: setup ## Run every test (installs redis-server with apt if there is none); under 9 minutes on two cores
	@scripts/servers
	@scripts/test

simulate: setup ## Run SEEDS=1000 simulated worlds, or SEED=... one again
	@.venv/bin/python -m tests.support.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))

planted: setup ## Hunt every planted bug with the simulator; writes the table in docs/reliability.md
	@.venv/bin/python -m tests.support.simulation.planted --table

soak: setup ## MINUTES=5 of three coordinators on one Redis, every link and process failing (SEED=1)
	@scripts/servers
	@.venv/bin/python -m tests.support.soak --minutes $(or $(MINUTES),5) --seed $(or $(SEED),1)

fuzz: setup ## MESSAGES=100000 random messages and bytes over every RPC of a coordinator (SEED=1)
	@.venv/bin/python -m tests.support.fuzz --messages $(or $(MESSAGES),100000) --seed $(or $(SEED),1)

bench: setup ## Measure beside Restate and DBOS (QUICK=1: under 5 minutes), or the coordinator AGAINST=<commit>
ifdef AGAINST
	@scripts/servers
	@.venv/bin/python -m bench.against $(AGAINST) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(LIMIT),--limit $(LIMIT))
else
	@scripts/bench
	@.venv/bin/python -m bench $(if $(QUICK),--quick)
	@.cache/bench/venv/bin/python -m bench.plot
endif

other-languages: setup ## Build the Go and TypeScript participants, and try them (STEP_S=180: with steps of 3 minutes)
	@scripts/other-languages
	@OTHER_LANGUAGES_STEP_S=$(or $(STEP_S),1.5) .venv/bin/python -m pytest -q tests/e2e/test_other_languages.py

lint: setup ## Lint, types, import rules and the shape of the product
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python scripts/structure.py

gen: setup ## Write the stubs from protos/
	scripts/protos generate

proto-check: setup ## Proto lint, breaking changes, drift of the stubs
	scripts/protos lint
	scripts/protos breaking
	scripts/protos drift

clean: ## Remove what was made
	rm -rf .venv .venv-gen .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
