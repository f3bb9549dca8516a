# The only vocabulary: `make help` lists it; CI and people use the same words.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SOURCE ?= storefront
DS     ?= 2026-11-22
IMPRESSIONS ?= 200000
JOBS   ?= 2
export UV_FIND_LINKS := $(if $(UV_FIND_LINKS),$(UV_FIND_LINKS),$(PIP_FIND_LINKS))
export UV_COMPILE_BYTECODE := 1

WHEELS ?= $(firstword $(UV_FIND_LINKS))
CERTIFICATES ?= $(SSL_CERT_FILE)
IMAGE  ?= localhost/genco:local
VARIANT ?= cpu

.DEFAULT_GOAL := help
.PHONY: help install run test test-containers check fix up down status compile image bench-day bench-data bench-growth bench-upworthy bench-shop bench-estimators bench-gate bench-generator bench-loop bench-reward bench-scaling bench-serving bench-text bench-findings contract clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; say PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## build the environment in .venv (genco is .venv/bin/genco)

run: install  ## simulate a week of the shop (or SOURCE=upworthy DATA=file), do the day, say what came of it
	@BIN=$(BIN) SOURCE=$(SOURCE) DATA='$(DATA)' DS=$(DS) IMPRESSIONS=$(IMPRESSIONS) SERVICES='$(SERVICES)' sh examples/run.sh

test: install  ## the whole test suite, by JOBS=2 workers, a file at a time each
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

image: install  ## the steps' image by docker, podman or buildah (BASE=NAME@sha256:..., VARIANT=gpu)
	$(BIN)/python -m images --tag $(IMAGE) --variant $(VARIANT) $(if $(BASE),--base '$(BASE)') \
		$(if $(filter cpu,$(VARIANT)),$(if $(wildcard $(WHEELS)),--wheels '$(WHEELS)')) \
		$(if $(wildcard $(CERTIFICATES)),--certificates '$(CERTIFICATES)')

test-containers: install  ## a day inside containers of the image, through podman's socket (docs/images.md)
	$(BIN)/python -m images.testing --image $(IMAGE)

check: install  ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

fix: install  ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: install  ## start SeaweedFS, PostgreSQL, Redis and MLflow on loopback, below data/services
	$(BIN)/python -m services up

down:  ## stop what `make up` started
	$(BIN)/python -m services down

status:  ## what is up
	$(BIN)/python -m services status

compile: install  ## the pipeline as YAML for a Kubeflow cluster (CONFIG=FILE: its pods): build/genco-daily.yaml
	$(BIN)/python -m pipelines.compile $(if $(CONFIG),--config '$(CONFIG)')

bench-day: install  ## seconds by stage of a day of 200,000 impressions, memory, the framework's share (both runners)
	$(BIN)/python -m benchmarks.day

bench-data: install  ## ingest, Great Expectations and features beside the bare work, by size (PART=ingest)
	$(BIN)/python -m benchmarks.data $(if $(PART),--only $(PART))

bench-growth: install  ## processor seconds by stage as the window grows, and extrapolated (docs/scale.md)
	$(BIN)/python -m benchmarks.growth

bench-upworthy: install  ## clicks gained on later tests of the archive, beside seven other ways (DATA=file)
	$(BIN)/python -m benchmarks.reward --only upworthy $(if $(DATA),--data '$(DATA)')

bench-shop: install  ## true value of the published policy in ten simulated shops
	$(BIN)/python -m benchmarks.shop_value

bench-estimators: install  ## cost of judging ten million rows, and what intervals cover
	$(BIN)/python -m benchmarks.estimators

bench-gate: install  ## power curve of the gate, coverage of intervals, false promotions over 20 looks
	$(BIN)/python -m benchmarks.gate_power

bench-generator: install  ## the generator: known truth, reward hacking probe, options, legality
	$(BIN)/python -m benchmarks.generator

bench-loop: install  ## 20 closed-loop days in five shops against seven baselines: build/loop
	$(BIN)/python -m benchmarks.loop

bench-reward: install  ## the reward model beside its baselines: archive (DATA=file), shop, ablations, sparsity, value, speed
	$(BIN)/python -m benchmarks.reward $(if $(DATA),--data '$(DATA)')

bench-serving: install  ## one choice against its bare forward passes, and the server under a load
	$(BIN)/python -m benchmarks.serving

bench-scaling: install  ## both trainings on 2, 4, 8 GPUs of this machine (CPU=1: 2 processes over gloo)
	$(BIN)/python -m benchmarks.scaling $(if $(CPU),--cpu)

bench-text: install  ## seconds to encode texts, beside a plain loop
	$(BIN)/python -m benchmarks.text_grams

bench-findings: install  ## seconds to look for what is unusual of a day of 200,000 displays
	$(BIN)/python -m benchmarks.day_findings

contract: install  ## write the tables of rules in docs/contract.md
	$(BIN)/python -m validation.contract_table docs/contract.md

clean:  ## remove build/ and data/ (not .venv)
	rm -rf build data
