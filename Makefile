# Two commands for a stranger: `make run` and `make test`. Both install what they need first.
#
#   make run                      install, run suites/semantic.yaml, print the table
#   make test                     lint, types and every test in the same environment
#   make install                  only the environment
#   make clean                    remove the environment and caches; results stay
#
# TORCH_BACKEND picks another torch build, for example TORCH_BACKEND=cpu, cu126 or auto (needs uv).
# PYTHON picks the interpreter the environment is made from (>= 3.10).

PYTHON ?= python3
TORCH_BACKEND ?=
SUITE ?= suites/semantic.yaml
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PINNED := -c constraints.txt -e ".[torch,brain,dev]"

.PHONY: run test install lint types clean

run: install
	$(BIN)/bench run $(SUITE)

test: lint types
	$(BIN)/python -m pytest -q

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@if command -v uv >/dev/null 2>&1; then \
		echo "installing pinned packages with uv"; \
		uv pip install -q --python $(BIN)/python $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) $(PINNED); \
	elif $(BIN)/python -m pip install -q uv; then \
		echo "installing pinned packages with uv, which was not on PATH and is now in $(VENV)"; \
		$(BIN)/uv pip install -q --python $(BIN)/python $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) $(PINNED); \
	elif test -n "$(TORCH_BACKEND)"; then \
		echo "TORCH_BACKEND needs uv, which could not be installed; install uv and try again" >&2; exit 2; \
	else \
		echo "installing pinned packages with pip, since uv could not be installed"; \
		$(BIN)/python -m pip install -q $(PINNED); \
	fi
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
