# Two commands do everything: make demo, make test. Each can be run again after any interruption.
.PHONY: help demo stub wheels test check fast-test cluster-test soak bench clean-hosts clean venv
PYTHON ?= python3
MASTERS ?= 1
NODES ?= 2
VENV := .venv/.ready

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV): pyproject.toml scripts/venv
	PYTHON="$(PYTHON)" sh scripts/venv

venv: $(VENV)    ## the virtual environment that all others use

stub: $(VENV)    ## the frozen installer of these sources, which every build seals: compiled once in ten minutes, then from the cache
	.venv/bin/python -m release stub $(if $(MACHINE),--machine $(MACHINE))

wheels: $(VENV)  ## airseal and its stubs for x86_64 and aarch64 as wheels: dist/wheels
	.venv/bin/python -m release wheels -o dist/wheels $(if $(MACHINE),--machine $(MACHINE))

demo: stub       ## the main job: record a live cluster, seal it, install it with the network cut
	.venv/bin/python -m tests.demo --masters $(MASTERS) --nodes $(NODES)

test: $(VENV)    ## everything: linters, types, unit, contract, architecture, and real clusters
	$(MAKE) --no-print-directory check fast-test cluster-test

check: $(VENV)   ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/mypy

# Two workers more than there are cores: a third of the time is waiting, for sshd, PAM and timeouts (160 s on two cores; 183 s with one more).
fast-test: stub  ## unit, contract and architecture tests, under three minutes; what takes longest begins first
	.venv/bin/python -m tests.testbed engine
	.venv/bin/pytest -q -n $$(($$(nproc) + 2)) --dist loadfile --no-loadscope-reorder tests/architecture tests/contract tests/unit

cluster-test: stub ## tests on real clusters, two modules at a time
	.venv/bin/pytest -v -n 2 --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 30 tests/cluster

soak: stub       ## kills, power cuts, torn files, mistakes, resets: hours; its report goes to docs/evidence
	.venv/bin/python -m tests.soak $(SOAK)

bench: stub      ## ratios against peers, measured in one run: docs/benchmarks.json, docs/benchmarks.md
	.venv/bin/python -m tests.bench

clean-hosts: $(VENV) ## remove every container and network that we made, and nothing else
	.venv/bin/python -m tests.testbed down --all

clean:           ## remove what was built here; the cache stays
	rm -rf build dist
