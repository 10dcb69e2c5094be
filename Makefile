# tinycompile's own tasks. `make demo` and `make test` set up everything they need on Debian with Python 3.11.

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
SUDO = $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
# program:package pairs that the compiler and its tests run
TOOLS = arm-none-eabi-gcc:gcc-arm-none-eabi qemu-system-arm:qemu-system-arm cc:gcc g++:g++ make:make cmake:cmake chromium:chromium clang:clang
# files that show whether a package without a program is there
FILES = /usr/lib/arm-none-eabi/newlib/nano.specs:libnewlib-arm-none-eabi /usr/include/stdlib.h:libc6-dev \
        /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core \
        /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux:libclang-rt-14-dev
# the same for boards with RISC-V, which only tests need: 1.4 GB
RISCV_TOOLS = riscv64-unknown-elf-gcc:gcc-riscv64-unknown-elf qemu-system-riscv32:qemu-system-misc
RISCV_FILES = /usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs:picolibc-riscv64-unknown-elf

.PHONY: help setup tools riscv demo test test-full lint serial fuzz onnx-attributes onnx-nodes reliability strict cases bench bench-quick bench-planner bench-cost bench-search-prices bench-operators bench-property bench-sliding bench-cores bench-strict quantisers training-gradients clean

help:
	@echo "make demo    build the digits model for the STM32F746, run it in QEMU, show what it recognised"
	@echo "make test    the test suite"
	@echo "make test-full   with the cases that take the path of others on one more core, level or size"
	@echo "make lint    ruff and pyright"
	@echo "make fuzz    FILES (200000) mutated model files through the compiler, in build/fuzz"
	@echo "make onnx-attributes   two attributes at a time of every ONNX operator in every opset, against onnxruntime"
	@echo "make onnx-nodes   all node cases of onnx, as they are and as int8, as C on this machine: which pass, which are refused"
	@echo "make reliability   every model under sanitizers, analyzers, optimisation levels and clang"
	@echo "make strict  every kernel that a test computes, in QEMU with unaligned words as faults"
	@echo "make serial  boards on a serial port and the benchmark's harness, with the models of MLPerf Tiny (needs ../shared)"
	@echo "make cases   every model file in ../shared: exact in QEMU, too, or refused with a true reason"
	@echo "make bench-quantisers   NETS=folder [QUANTISED=folder]   dB on held-out samples: our quantiser's, onnxruntime's, other tools' files"
	@echo "make bench   instructions, cycles, code and RAM of every model, core and schedule, and of builds without options (needs ../shared; takes five minutes)"
	@echo "make bench-quick   whether the small models got worse since the committed results"
	@echo "make quantisers   what nine quantisation tools write of twelve nets, and what tinycompile makes of it (10 GB, an hour)"
	@echo "make bench-property   instructions of a product in 300 random layers x 4 cores x 2 levels; layers that fell off the fast road"
	@echo "make training-gradients   integer gradients of NETWORKS (300) random networks against PyTorch's (pip install tinycompile[training])"
	@echo "make guides  GUIDES_PYTHON=python with torch, tensorflow or skl2onnx: the pages from_*.md as they stand"
	@echo "make newcomer   the commands of docs/getting_started.md in a fresh environment, timed"
	@echo "make api     docs/python_api.md from docstrings"
	@echo "make search-engines   a search on local clusters of Dask and Ray finds what local workers find (pip install tinycompile[cluster])"
	@echo "make search-postgres  a search in a PostgreSQL database, killed twice, finds what it finds in a file (Debian: postgresql; psycopg2)"
	@echo "make bench-planner   how long planning takes"
	@echo "make bench-strict   what aligned words cost: the table of docs/silicon.md, measured anew (needs ../shared; five minutes)"
	@echo "make bench-sliding   what a step of a sliding window takes"
	@echo "make bench-cores     what a second core saves"

setup: tools $(STAMP)

# $(call install,program:package ...,file:package ...)
define install
@missing=; \
for pair in $(1); do command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; done; \
for pair in $(2); do [ -e "$${pair%%:*}" ] || missing="$$missing $${pair#*:}"; done; \
$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
if [ -n "$$missing" ]; then \
    echo "installing:$$missing"; \
    $(SUDO) apt-get update -qq && \
    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
fi
endef

tools:
	$(call install,$(TOOLS),$(FILES))

riscv: tools
	$(call install,$(RISCV_TOOLS),$(RISCV_FILES))

$(STAMP): requirements.txt pyproject.toml | tools
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/python examples/digits/demo.py

test: setup riscv
	$(BIN)/python -m pytest -n 2

test-full: setup riscv
	TESTS=full $(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

FILES ?= 200000
reliability: setup riscv
	$(BIN)/python -m tests.reliability.sweep
	$(BIN)/python -m tests.reliability.ranks --seeds 0 200
	$(BIN)/python -m tests.reliability.combinations --seeds 0 200
	$(BIN)/python -m tests.reliability.regions --seeds 0 200
	$(BIN)/python -m tests.reliability.qoperators --seeds 0 200

strict: setup riscv
	$(BIN)/python -m tests.reliability.strict

serial: setup
	TESTS=full $(BIN)/python -m pytest tests/boards/test_serial.py tests/boards/test_serial_models.py tests/boards/test_harness.py

cases: setup riscv
	$(BIN)/python -m tests.reliability.cases

fuzz: setup
	$(BIN)/python -m tests.fuzz.run --files $(FILES)

onnx-attributes: setup
	$(BIN)/python -m tests.frontend.attributes

onnx-nodes: setup
	$(BIN)/python -m tests.frontend.nodes

.PHONY: bench-quantisers
bench-quantisers: setup
	$(BIN)/python -m benchmarks.quantisers.sqnr $(NETS) $(if $(QUANTISED),--files $(QUANTISED))

bench: setup
	$(BIN)/python -m benchmarks.run

bench-quick: setup
	$(BIN)/python -m benchmarks.run --quick --compare

bench-planner: setup
	$(BIN)/python benchmarks/planner.py

bench-sliding: setup
	$(BIN)/python -m benchmarks.sliding

bench-cores: setup
	$(BIN)/python -m benchmarks.two_cores

bench-cost: setup
	$(BIN)/python -m benchmarks.cost

bench-search-prices: setup
	$(BIN)/python -m benchmarks.search_prices

bench-property: setup
	$(BIN)/python -m benchmarks.property

bench-operators: setup
	$(BIN)/python -m benchmarks.operators

bench-strict: setup
	$(BIN)/python -m benchmarks.strict --write

quantisers: setup
	$(BIN)/python -m benchmarks.quantisers.run

NETWORKS ?= 300
training-gradients: setup
	$(BIN)/python -m tests.training.autograd $(NETWORKS)

# pages that need PyTorch, TensorFlow or skl2onnx, with a Python that has them and what `make setup` installs
GUIDES_PYTHON ?= $(BIN)/python
.PHONY: guides api newcomer
newcomer: setup
	$(BIN)/python -m tests.docs.newcomer

api:
	$(BIN)/python -m tests.docs.python_api > docs/python_api.md

guides:
	TESTS=full $(GUIDES_PYTHON) -m pytest tests/docs/test_pages.py -p no:cacheprovider -k "code_runs and (from_ or field_update or images or python_api or troubleshooting)" -rs

.PHONY: search-engines
search-engines: setup
	$(BIN)/python -m tests.search.engines

.PHONY: search-postgres
search-postgres: setup
	$(BIN)/python -m tests.search.postgres

clean:
	rm -rf build dist *.egg-info
