# The two commands of the README set everything up by themselves: `make serve` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Present, and newer than what it is made from, when everything is installed and the compiled modules are built.
INSTALLED := $(VENV)/.installed
COMPILED := $(wildcard dnsbl_server/*/*.pyx dnsbl_server/*/*.pxd)

.PHONY: serve test e2e check lint types format checked sanitized fuzz clean help FORCE

help:  ## Show these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(INSTALLED)  ## Run the server on the sample zones
	$(BIN)/dnsbl-server serve zones

test: $(INSTALLED)  ## Run the tests
	$(BIN)/python -m pytest

e2e: $(INSTALLED)  ## Run the end-to-end tests; needs root, and the Debian packages in e2e/packages
	e2e/run

check: lint types  ## Run what is checked besides the tests

lint: $(INSTALLED)  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## Check types
	$(BIN)/mypy

format: $(INSTALLED)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The compiled modules once more, each time in a copy of the tree, with what proves that they are safe.
COPIED := dnsbl_server fuzz tests zones pyproject.toml setup.py README.md LICENSE dnsbl-server.yaml
PYTHON_OF_BUILDS := $(abspath $(BIN))/python
# Of the tests those of the compiled modules, and of the builds themselves.
PROOF := $(patsubst %,tests/%.py,builds answer/test_answer answer/test_fuzz_seeds compiler/test_merge engine/test_engine \
	engine/test_service engine/test_udp model/test_spans sources/test_scan table/test_damaged table/test_format \
	table/test_prints table/test_table)
CHECKED := -DDNSBL_CHECKED -UNDEBUG
SANITIZERS := undefined,float-cast-overflow -fno-sanitize-recover=all -fno-wrapv -fno-omit-frame-pointer -g -O1
# Memory that Python itself never gives back is no leak of ours.
SANITIZED := ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=64 UBSAN_OPTIONS=print_stacktrace=1

.build/checked: COMPILE = DNSBL_CFLAGS='$(CHECKED) -Wconversion -Werror'
.build/sanitized: COMPILE = DNSBL_CFLAGS='$(CHECKED) -fsanitize=address,$(SANITIZERS)'
.build/fuzz: COMPILE = CC=clang LDSHARED='clang -shared' DNSBL_CFLAGS='$(CHECKED) -fsanitize=fuzzer-no-link,address,$(SANITIZERS)'
.build/checked .build/sanitized .build/fuzz: $(INSTALLED) FORCE
	rm -rf $@
	mkdir -p $@
	cp -r $(COPIED) $@
	rm -f $@/dnsbl_server/*/*.so
	cd $@ && $(COMPILE) $(PYTHON_OF_BUILDS) setup.py --quiet build_ext --inplace --parallel 2

checked: .build/checked  ## Test the compiled modules with every check on, compiled without a warning
	cd $< && DNSBL_BUILD=checked PYTHONPATH=$(abspath $<) $(PYTHON_OF_BUILDS) -m pytest --durations=10 $(PROOF)

sanitized: .build/sanitized  ## Test them under AddressSanitizer and UndefinedBehaviorSanitizer
	cd $< && DNSBL_BUILD=sanitized DNSBL_EXAMPLES=100 PYTHONPATH=$(abspath $<) $(SANITIZED) PYTHONMALLOC=malloc \
	    LD_PRELOAD=$$(gcc -print-file-name=libasan.so) $(PYTHON_OF_BUILDS) -m pytest --durations=10 $(PROOF)

SECONDS := 600
.build/atheris: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --target $@ atheris

fuzz: .build/fuzz .build/atheris  ## Fuzz them against their specification: make fuzz SECONDS=600 (needs clang)
	mkdir -p .build/corpus
	cd $< && PYTHONPATH=$(abspath .build/atheris) $(SANITIZED) LD_PRELOAD=$(abspath .build/atheris)/asan_with_fuzzer.so \
	    $(PYTHON_OF_BUILDS) -m fuzz -max_total_time=$(SECONDS) -max_len=1000 -timeout=10 -dict=fuzz/dns.dict \
	    -print_final_stats=1 ../corpus fuzz/seeds

clean:  ## Remove what was installed and cached
	rm -rf $(VENV) .build build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f dnsbl_server/*/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml setup.py $(COMPILED)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; say which with make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
