# make reports   run every notebook and write reports/index.html
# make test      everything that must hold; LONG=1 for the long tests, too
# make bench     speed against named baselines, as ratios; writes benchmarks/results;
#                VNET=1 with the large network, NOTEBOOKS=all with whole notebooks
# make gpu       all that wants a GPU: its tests, speed, then rows at full scale in the order of
#                their value; MINUTES=n starts no row that cannot end in time; resumable
# make rows      rows of tables without notebooks, time-boxed and resumed:
#                make rows DATASET=phantom METHODS="bcp bcp_ablation" SEEDS="0 1" MINUTES=30 JOBS=2
#                DRAWS="0 1 2" label other scans (0: those that the data set names)
#                SETTINGS="schedule.learning_rate=0.01" CONFIG="alpha=0.3" change one at a time,
#                CONFIG="warm_up.beta=0" one of the warm-up
# make lab       JupyterLab with the notebooks paired
# make sync      write the .ipynb files anew from the .py scripts
#
# make reports NOTEBOOKS=06 DATASET=path/to/folder FOLDS=5 METHODS="mean_teacher bcp"
#                own scans: every labelled scan tested once, in 5 folds; these methods trained
# make reports DATASET=hippocampus PROFILE=quick NOTEBOOKS="00" SEEDS="0 1 2" N_LABELLED=4 FORCE=1
# make reports SEEDS="0 1 2" N_LABELLED="2 4 8" JOBS=2                   two runs at a time, here
# make reports SEEDS="0 1 2" N_LABELLED="2 4 8" SCHEDULER=tcp://host:8786   on a Dask cluster
# Everything is installed into .venv, nothing globally.

PYTHON ?= python3
DATASET ?=
PROFILE ?=
NOTEBOOKS ?=
SEEDS ?=
N_LABELLED ?=
FOLDS ?=
METHODS ?=
DRAWS ?=
SETTINGS ?=
CONFIG ?=
MINUTES ?=
FORCE ?=
JOBS ?=
SCHEDULER ?=
LONG ?=
VNET ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Kernels encrypted; no pings, whose default intervals contradict each other.
LAB_OPTIONS := --KernelManager.transport_encryption=auto \
	--ServerApp.tornado_settings='{"ws_ping_interval": 0}'

# One process a core, each taking the next file of tests when it has ended one; the files that
# take longest, those of a browser, come first.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Counting covered lines slows everything: only the long tests do it.
COVERAGE := --cov=ssl_lib --cov-report=term:skip-covered --cov-fail-under=90

# The part of JupyterLab that asks whether it may fetch news and look for updates.
NEWS := @jupyterlab/apputils-extension:announcements

.PHONY: reports test rows bench gpu lab sync clean

reports: $(READY)
	$(BIN)/python -m ssl_lib.reports --datasets "$(DATASET)" --profile "$(PROFILE)" \
		--notebooks "$(NOTEBOOKS)" --seeds "$(SEEDS)" --n-labelled "$(N_LABELLED)" \
		--draws "$(DRAWS)" --folds "$(FOLDS)" --methods "$(METHODS)" \
		--jobs "$(JOBS)" --scheduler "$(SCHEDULER)" $(if $(FORCE),--force)

rows: $(READY)
	$(BIN)/python -m ssl_lib.reports.rows $(if $(DATASET),--dataset "$(DATASET)") \
		$(if $(PROFILE),--profile $(PROFILE)) $(if $(METHODS),--methods "$(METHODS)") \
		$(if $(N_LABELLED),--n-labelled "$(N_LABELLED)") $(if $(SEEDS),--seeds "$(SEEDS)") \
		$(if $(DRAWS),--draws "$(DRAWS)") \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(JOBS),--jobs $(JOBS)) \
		--settings "$(SETTINGS)" --config "$(CONFIG)" --scheduler "$(SCHEDULER)"

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m ssl_lib.notebook check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -rs --durations=40 \
		--record=build/tests.json $(if $(LONG),--long $(COVERAGE))

bench: $(READY)
	$(BIN)/python benchmarks/tree_filter.py
	$(BIN)/python benchmarks/uncertainty_step.py
	$(BIN)/python benchmarks/training_step.py $(if $(VNET),--cases small vnet)
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/metric_definitions.py
	$(BIN)/python benchmarks/growth.py
	$(if $(NOTEBOOKS),$(BIN)/python benchmarks/notebooks.py --notebooks $(filter-out all,$(NOTEBOOKS)))
	$(BIN)/python benchmarks/summary.py

gpu: $(READY)
	$(BIN)/python -c 'import torch; torch.cuda.is_available() or exit("make gpu: PyTorch sees no GPU")'
	$(BIN)/python -m pytest tests -m gpu -rs
	$(BIN)/python benchmarks/training_step.py --cases unet vnet small
	$(BIN)/python data_download.py fetch acdc
	$(BIN)/python data_download.py fetch la2018
	$(BIN)/python -m ssl_lib.reports.gpu $(if $(MINUTES),--minutes $(MINUTES)) --jobs $(if $(JOBS),$(JOBS),4)
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/summary.py

lab: $(READY)
	$(BIN)/python -m ssl_lib.notebook sync
	$(BIN)/jupyter trust notebooks/*.ipynb >/dev/null
	$(BIN)/jupyter labextension disable --level=sys_prefix $(NEWS) 2>/dev/null
	$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks $(LAB_OPTIONS)

sync: $(READY)
	$(BIN)/python -m ssl_lib.notebook sync

# A torch with CUDA that is already there is used; otherwise the pinned one is installed.
$(READY): requirements.lock pyproject.toml
	@if $(PYTHON) -c 'import torch, sys; sys.exit(not torch.version.cuda)' 2>/dev/null; then \
		echo "using the CUDA build of torch that is already installed"; \
		$(PYTHON) -m venv --system-site-packages $(VENV); \
		grep -v -i '^torch==' requirements.lock > $(VENV)/requirements.txt; \
	else \
		$(PYTHON) -m venv $(VENV); \
		cp requirements.lock $(VENV)/requirements.txt; \
	fi
	$(BIN)/python -m pip install --quiet --upgrade pip
	@grep -i '^torch==' $(VENV)/requirements.txt | xargs -r $(BIN)/python -m pip install --quiet
	$(BIN)/python -m pip install --quiet -r $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf build
