# PowerP Streamer: everything a checkout can do. `make` alone explains itself.
#
# The environment in .venv is made from the pinned requirements, and made again when they change: with uv where it
# works, else with venv and pip. Nothing outside the checkout is written but the caches of uv, pip and Maven.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin

# The path of the first Python that is new enough. Each candidate is run and not just looked up: pyenv leaves commands
# on PATH that fail. The venv this Makefile makes is passed over, lest it become its own parent when it is active.
define FIND_PYTHON
for name in python3.13 python3.12 python3.11 python3; do \
	"$$name" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys._base_executable)' 2>/dev/null && exit 0; \
done; exit 0
endef
PYTHON ?= $(shell $(FIND_PYTHON))

UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
# The system's certificates, as pip and git use them, and not uv's own: company networks have their own authority.
# The second name is the one that older versions of uv know.
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: venv
venv: $(VENV)/.dev ## Make .venv with everything that development needs

.PHONY: demo
demo: $(VENV)/.run ## Run the daemon against the simulated plant, without Kafka (DEMO_FOR=20s ends it by itself)
	$(BIN)/streamer demo

.PHONY: demo-kafka
demo-kafka: $(VENV)/.dev ## The same demo on a real Kafka of its own (needs Java 17 and Maven)
	$(BIN)/python -m tests.support.local_kafka -- $(BIN)/streamer demo --bus kafka

# More processes than cores: half of the tests wait for other processes, or for a Kafka.
.PHONY: test
test: $(VENV)/.dev ## Run the tests (those of Kafka are skipped where none can be had)
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder -m "not torture and not image and not cluster and not alone"
	$(BIN)/python -m pytest -m alone

.PHONY: torture
torture: $(VENV)/.dev ## Kill the daemon, and then the broker, KILLS times (50 unless told), then each of three; count every sample
	KILLS=$${KILLS:-50} $(BIN)/python -m pytest -m torture -s

.PHONY: memory
memory: $(VENV)/.dev ## Watch the daemon's memory under faults FOR=1h: it must stay within 5 %
	$(BIN)/python -m tests.torture.memory $(or $(FOR),1h)

.PHONY: fuzz
fuzz: $(VENV)/.fuzz ## Search each thing that is read from outside for surprises, for so long each: make fuzz FOR=60s
	for target in $$($(BIN)/python -m tests.fuzz); do $(BIN)/python -m tests.fuzz "$$target" "$(or $(FOR),60s)"; done

.PHONY: soak
soak: $(VENV)/.dev ## Simulate HOURS of virtual time (50 unless told), and print what happened in them
	$(BIN)/python -m tests.simulation --hours $${HOURS:-50}

.PHONY: mutants
mutants: $(VENV)/.dev ## Take rules away, one at a time, and prove that the simulation notices each
	$(BIN)/python -m tests.simulation.gate

.PHONY: lint
lint: $(VENV)/.dev ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## Put the code into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/.dev ## Run every benchmark on a real Kafka of its own (needs Java 17 and Maven)
	shopt -s nullglob; for benchmark in benchmarks/[!_]*.py; do \
		$(BIN)/python -m tests.support.local_kafka -- $(BIN)/python "$$benchmark"; \
	done

.PHONY: chart
chart: $(VENV)/.dev ## Write what of the chart follows from the code: values.schema.json and its README
	$(BIN)/python -m helm.generate

.PHONY: docs
docs: $(VENV)/.dev ## Write the pages that follow from the code: configuration, metrics and log events
	$(BIN)/python -m docs.generate

.PHONY: site
site: $(VENV)/.docs ## Make a web site of the documentation in build/site; a broken link or anchor ends it
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --fresh-env \
		-c docs -d build/doctrees . build/site
	! grep -rE --include='*.html' '<(script|link|img|iframe)[^>]+(src|href)="(https?:)?//' build/site

.PHONY: chart-test
chart-test: $(VENV)/.deploy ## Lint and render the chart over its matrix of values, and lint the Dockerfile
	$(BIN)/python -c 'import helm_python, kubernetes_validate'
	$(BIN)/python -m pytest -m chart tests/deploy

.PHONY: page-test
page-test: $(VENV)/.browser ## Test the operator's page in Chromium (which has to be there; npm brings axe)
	$(BIN)/python -m pytest -m browser tests/browser

# The image is the same, byte for byte in its layers, whenever it is built from the same commit and the same base. For it
# alone: without a commit there is no time, and hatchling fails on an empty one.
ENGINE = $(or $(shell command -v docker),$(shell command -v podman))
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
BUILD_docker = build --build-arg SOURCE_DATE_EPOCH
BUILD_podman = build --format docker --timestamp $(SOURCE_DATE_EPOCH)

.PHONY: image
image: ## Build the image with Docker or Podman (BASE=… is another Python image, IMAGE_FLAGS=… goes to the build)
	$(if $(ENGINE),,$(error Docker or Podman is needed to build an image))
	$(ENGINE) $(BUILD_$(notdir $(ENGINE))) $(if $(BASE),--build-arg BASE=$(BASE)) $(IMAGE_FLAGS) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD) --tag powerp-streamer:$(VERSION) .

.PHONY: audit
audit: $(VENV)/.deploy ## Write build/sbom.json (CycloneDX) and look for known vulnerabilities in what is shipped
	mkdir -p build && rm -f build/audit.json
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json \
		requirements/run.txt
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements/run.txt --format json \
		--progress-spinner off --output build/audit.json || [[ -s build/audit.json ]]
	$(BIN)/python -m tests.support.audit build/audit.json

.PHONY: picture
picture: $(VENV)/.dev ## Draw docs/demo.svg anew from a run of the demo
	$(BIN)/python docs/picture.py

.PHONY: page-picture
page-picture: $(VENV)/.browser ## Take docs/page.png anew from a run against the simulator, in Chromium
	$(BIN)/python -m docs.page

# What a few targets need on top of the rest; requirements/ has a file for each.
GROUPS := deploy fuzz browser docs

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header

# Any of the groups may be in .venv at once, so none pins what another pins otherwise.
.PHONY: requirements
requirements: ## Pin again what pyproject.toml asks for (needs uv; UPGRADE=1 takes the newest)
	$(if $(UV),,$(error Pinning needs uv on PATH))
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements/run.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group build -c requirements/run.txt -o requirements/build.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --group dev \
		-c requirements/run.txt -c requirements/build.txt -o requirements/dev.txt
	pinned="-c requirements/dev.txt"; for group in $(GROUPS); do \
		$(COMPILE) $(if $(UPGRADE),--upgrade) --group $$group $$pinned -o requirements/$$group.txt; \
		pinned+=" -c requirements/$$group.txt"; \
	done

.PHONY: clean
clean: ## Remove the environment, the caches and what builds left
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find streamer tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed; none of python3.13, python3.12, python3.11 and python3 on PATH is one. Name one: make PYTHON=/path/to/python3.11))
	"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("PYTHON=$(PYTHON) is older than Python 3.11")'
	$(if $(UV),uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV),"$(PYTHON)" -m venv $(VENV))

# A venv that uv made has no pip; ensurepip gives it one should uv be gone since.
define INSTALL
$(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; $(BIN)/python -m pip install --quiet --disable-pip-version-check)
endef

# Everything pinned, and with uv nothing else but the groups that are there; pip knows no sync and leaves what is pinned
# no more.
SYNC = $(if $(UV),uv pip sync --quiet --python $(BIN)/python --require-hashes $(1),$(INSTALL) --require-hashes $(addprefix -r ,$(1)))

# The project itself, from the checkout; its build tools are pinned too and come from the environment.
INSTALL_STREAMER = $(INSTALL) --no-deps --no-build-isolation -e .

# What the demo needs is there in seconds. Only whether Python is there counts, not its age: the link is as old as
# the interpreter.
$(VENV)/.run: requirements/run.txt requirements/build.txt pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes -r requirements/run.txt -r requirements/build.txt
	$(INSTALL_STREAMER)
	touch $@

THERE = $(wildcard $(GROUPS:%=$(VENV)/.%))

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(call SYNC,requirements/dev.txt $(THERE:$(VENV)/.%=requirements/%.txt))
	$(INSTALL_STREAMER)
	touch $@ $(THERE)

$(GROUPS:%=$(VENV)/.%): $(VENV)/.%: requirements/%.txt $(VENV)/.dev
	$(INSTALL) --require-hashes -r $<
	touch $@
