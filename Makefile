# The two commands of the README set everything up by themselves: `make serve` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
# Tests at a time, and minutes of each part of `make long`.
# One more than the processors of a small machine: many tests wait.
WORKERS := 3
MINUTES := 10
PARALLEL = --numprocesses $(WORKERS) --dist worksteal
PYTEST = $(BIN)/python -m pytest $(PARALLEL)

# What is there, as files that are newer than what they are made from. Only those that depend on pyproject.toml need the
# network; a change to a compiled module builds what depends on it, and nothing else.
TOOLS := $(VENV)/.tools
COMPILED := $(VENV)/.compiled
INSTALLED := $(VENV)/.installed
DEVELOP := $(VENV)/.develop
SOURCES := $(wildcard dnsbl_server/*/*.pyx dnsbl_server/*/*.pxd)

.PHONY: serve test quick long e2e build check lint types format checked sanitized storm fuzz clean help FORCE

help:  ## Show these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(INSTALLED) $(COMPILED)  ## Run the server on the sample zones
	$(BIN)/dnsbl-server serve --state .build/state zones

test: $(DEVELOP) $(COMPILED)  ## Run all tests
	$(PYTEST)

quick: $(DEVELOP) $(COMPILED)  ## Run the tests that start no process, with few examples
	DNSBL_PROFILE=quick $(PYTEST) --numprocesses 2 -m "not server and not clock"

long: $(DEVELOP) $(COMPILED)  ## Run what takes too long for every day, into bench/results: make long MINUTES=10
	$(BIN)/python bench/long.py --minutes $(MINUTES) --workers $(WORKERS)

e2e: $(DEVELOP) $(COMPILED)  ## Run the end-to-end tests; needs root, and the Debian packages in e2e/packages
	e2e/run

check: lint types  ## Run what is checked besides the tests

lint: $(DEVELOP)  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEVELOP)  ## Check types
	$(BIN)/mypy

format: $(DEVELOP)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(COMPILED)  ## Build the compiled modules that have changed

# The compiled modules once more, each time in a copy of the tree, with what proves that they are safe. A copy keeps what
# it has built: only what has changed since is built again, and everything where the flags are others.
COPIED := dnsbl_server fuzz tests zones pyproject.toml setup.py README.md LICENSE dnsbl-server.yaml
PYTHON_OF_BUILDS := $(abspath $(BIN))/python
# Of the tests those of the compiled modules, and of the builds themselves.
PROOF := $(patsubst %,tests/%.py,builds answer/test_answer answer/test_answer_domains answer/test_fuzz_seeds \
	answer/test_storm compiler/test_merge compiler/test_trie engine/test_engine engine/test_service engine/test_udp \
	model/test_names model/test_spans sources/test_columns sources/test_rbldnsd_scan sources/test_scan table/test_damaged table/test_format table/test_nodes \
	table/test_prints table/test_siphash table/test_table)
PROVE := $(PYTHON_OF_BUILDS) -m pytest $(PARALLEL) --timeout 300 --override-ini faulthandler_timeout=360 --durations 10 $(PROOF)
CHECKED := -DDNSBL_CHECKED -UNDEBUG
SANITIZERS := undefined,float-cast-overflow -fno-sanitize-recover=all -fno-wrapv -fno-omit-frame-pointer -g -O1
# Memory that Python itself never gives back is no leak of ours.
SANITIZED := ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=64 UBSAN_OPTIONS=print_stacktrace=1

.build/checked: COMPILE = DNSBL_CFLAGS='$(CHECKED) -Wconversion -Werror'
.build/sanitized: COMPILE = DNSBL_CFLAGS='$(CHECKED) -fsanitize=address,$(SANITIZERS)'
.build/fuzz: COMPILE = CC=clang LDSHARED='clang -shared' DNSBL_CFLAGS='$(CHECKED) -fsanitize=fuzzer-no-link,address,$(SANITIZERS)'
.build/checked .build/sanitized .build/fuzz: $(DEVELOP) FORCE
	@echo "== compile in $@"
	@(echo "$(COMPILE)" && cat setup.py) | cmp --silent - $@/.made-by || rm -rf $@
	@mkdir -p $@
	@find $@ -type f ! -name '*.so' ! -path '$@/build/*' -delete
	@tar -c --exclude='*.so' --exclude=__pycache__ $(COPIED) | tar -x -C $@
	@(echo "$(COMPILE)" && cat setup.py) > $@/.made-by
	@cd $@ && $(COMPILE) $(PYTHON_OF_BUILDS) setup.py --quiet build_ext --inplace --parallel 2

checked: .build/checked  ## Test the compiled modules with every check on, compiled without a warning
	cd $< && DNSBL_BUILD=checked PYTHONPATH=$(abspath $<) $(PROVE)

sanitized: .build/sanitized  ## Test them under AddressSanitizer and UndefinedBehaviorSanitizer
	cd $< && DNSBL_BUILD=sanitized DNSBL_PROFILE=quick PYTHONPATH=$(abspath $<) $(SANITIZED) PYTHONMALLOC=malloc \
	    LD_PRELOAD=$$(gcc -print-file-name=libasan.so) $(PROVE)

# Messages for the checked build; the sanitized one gets a tenth of them.
PACKETS := 10000000
SEED := 1
storm: .build/checked .build/sanitized  ## Answer messages changed at random in both builds: make storm PACKETS=10000000
	cd .build/checked && DNSBL_BUILD=checked PYTHONPATH=$(abspath .build/checked) \
	    $(PYTHON_OF_BUILDS) -m fuzz.storm --packets $(PACKETS) --seed $(SEED)
	cd .build/sanitized && DNSBL_BUILD=sanitized PYTHONPATH=$(abspath .build/sanitized) $(SANITIZED) PYTHONMALLOC=malloc \
	    LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
	    $(PYTHON_OF_BUILDS) -m fuzz.storm --packets $$(($(PACKETS) / 10)) --seed $(SEED)

SECONDS := 600
.build/atheris: $(DEVELOP)
	$(PIP) install --target $@ atheris

fuzz: .build/fuzz .build/atheris  ## Fuzz them against their specification: make fuzz SECONDS=600 (needs clang)
	mkdir -p .build/corpus
	cd $< && PYTHONPATH=$(abspath .build/atheris) $(SANITIZED) LD_PRELOAD=$(abspath .build/atheris)/asan_with_fuzzer.so \
	    $(PYTHON_OF_BUILDS) -m fuzz -max_total_time=$(SECONDS) -max_len=1000 -timeout=10 -dict=fuzz/dns.dict \
	    -print_final_stats=1 ../corpus fuzz/seeds

clean:  ## Remove what was installed and cached
	rm -rf $(VENV) .build build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f dnsbl_server/*/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(TOOLS): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; say which with make PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "== $(VENV): what compiles"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $@.txt
	@$(PIP) install --requirement $@.txt
	@touch $@

# setup.py may say that everything is compiled in another way.
$(COMPILED): $(TOOLS) setup.py $(SOURCES)
	@echo "== $(VENV): the compiled modules that have changed"
	@$(if $(filter setup.py,$?),rm -rf build)
	@$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	@touch $@

$(INSTALLED): pyproject.toml | $(COMPILED)
	@echo "== $(VENV): the program, and what it needs"
	@DNSBL_BUILT=1 $(PIP) install --no-build-isolation --editable .
	@touch $@

$(DEVELOP): pyproject.toml | $(INSTALLED)
	@echo "== $(VENV): what tests and checks need"
	@DNSBL_BUILT=1 $(PIP) install --no-build-isolation --editable '.[dev]'
	@touch $@
