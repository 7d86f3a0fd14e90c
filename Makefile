# Everything runs in the project's own environment, .venv, made by the first target that needs it.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Another build of torch, by uv's name for it: make setup TORCH_BACKEND=cpu (or cu126, rocm6.4, auto ...). The choice is
# remembered. Another choice makes the environment anew, since pip takes any torch of the same version for the right one.
BUILT_WITH := $(shell cat $(VENV)/.torch-backend 2>/dev/null)
TORCH_BACKEND ?= $(BUILT_WITH)
ifneq ($(strip $(TORCH_BACKEND)),$(BUILT_WITH))
.PHONY: $(VENV)/.ready
endif
ARGS ?=
RESOLUTION ?= lowest-direct
RELEASE ?= 1.0
.DEFAULT_GOAL := help
.PHONY: help setup demo ready page test coverage test-bounds lint format train sweep folds bench board lock clean

help: ## Show what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make the environment in .venv: the tested versions, checked by hash

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give one: make setup PYTHON=python3.12")'
	test -x $(RUN) -a '$(strip $(TORCH_BACKEND))' = '$(BUILT_WITH)' || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv
	echo '$(strip $(TORCH_BACKEND))' > $(VENV)/.torch-backend
ifeq ($(strip $(TORCH_BACKEND)),)
	$(RUN) -m uv pip sync --quiet --python $(RUN) --require-hashes requirements.lock
	$(RUN) -m uv pip install --quiet --python $(RUN) --no-deps --no-build-isolation --editable .
else
	$(RUN) -m uv pip install --quiet --python $(RUN) --torch-backend $(TORCH_BACKEND) --no-verify-hashes \
		--constraints requirements.lock --editable '.[dev]'
endif
	touch $@

demo: setup ## Train on generated images and show what a run leaves behind (no download, minutes)
	$(RUN) -m rexnet_ai_real.train +experiment=demo $(ARGS)
	@echo 'The detector that comes with this program, on one generated image of each kind:'
	$(RUN) -m rexnet_ai_real.predict --format table data/synthetic/ai/00000.png data/synthetic/real/00000.png
	@echo 'Your own image: $(VENV)/bin/rexnet-ai-real predict PHOTO.jpg'

ready: setup ## Make the detector that comes along: MODEL=run on all collections, LEFT_OUT=evaluated +sweep=collections
	$(RUN) -m rexnet_ai_real.export $(MODEL) rexnet_ai_real/ready --overwrite --formats onnx-int8 --license other \
		--release general $(RELEASE) --left-out $(LEFT_OUT) --collections docs/collections.csv $(ARGS)

page: setup ## Serve the page that judges images in the browser; another detector with ARGS=exported
	$(RUN) -m rexnet_ai_real.page $(ARGS)

test: setup ## Run the tests; some of them with ARGS=tests/test_predict.py
	$(RUN) -m pytest $(ARGS)

coverage: setup ## Run the tests and measure how much of the code they run: 96 % at least
	$(RUN) -m pytest --cov --cov-fail-under=96 $(ARGS)

test-bounds: ## Run the tests on the versions that pyproject's bounds allow: RESOLUTION=lowest-direct or highest
	test -x .venv-$(RESOLUTION)/bin/python || $(PYTHON) -m venv .venv-$(RESOLUTION)
	.venv-$(RESOLUTION)/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-$(RESOLUTION)/bin/python -m uv pip install --quiet --python .venv-$(RESOLUTION)/bin/python \
		$(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) --resolution $(RESOLUTION) --editable '.[dev]'
	.venv-$(RESOLUTION)/bin/python -m pytest -W default $(ARGS)  # old releases warn of their newer neighbours

lint: setup ## Check style, format, types, the direction of imports, and that no code is unused
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m vulture

format: setup ## Put the code into the project's format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

train: setup ## Train the study's baseline; more settings with ARGS='data.root=... optimizer.lr=...'
	$(RUN) -m rexnet_ai_real.train +experiment=baseline $(ARGS)

sweep: setup ## Sweep learning rate and patience over the baseline
	$(RUN) -m rexnet_ai_real.train -m +experiment=baseline +sweep=lr_patience $(ARGS)

folds: setup ## Cross-validate the baseline over five folds
	$(RUN) -m rexnet_ai_real.train -m +experiment=baseline +sweep=folds $(ARGS)

bench: setup ## Measure speed side by side into benchmarks/RESULTS.md: DETECTOR=exported folder, IMAGES='folder folder'
	$(RUN) -m benchmarks.training_step
	$(RUN) -m benchmarks.service
	$(if $(DETECTOR),$(RUN) -m benchmarks.inference $(DETECTOR))
	$(if $(IMAGES),$(RUN) -m benchmarks.loader $(IMAGES))
	$(if $(IMAGES),$(RUN) -m benchmarks.epoch $(firstword $(IMAGES)))
	$(if $(and $(DETECTOR),$(IMAGES)),$(RUN) -m benchmarks.scan $(DETECTOR) $(IMAGES))
	$(RUN) -m benchmarks.growth $(if $(DETECTOR),--detector $(DETECTOR))

board: setup ## Open TensorBoard on all runs
	$(VENV)/bin/tensorboard --logdir outputs

lock: setup ## Fit requirements.lock to pyproject.toml; newer versions with ARGS=--upgrade
	$(RUN) -m uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
		--extra dev --output-file requirements.lock $(ARGS) pyproject.toml

clean: ## Remove the environments and caches; outputs and images stay
	rm -rf $(VENV) .venv-lowest-direct .venv-highest .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage
