# Everything runs from .venv, which is made from requirements.lock. `make quickstart` is the start.

PYTHON ?= python3
BIN = .venv/bin
SAMPLE = output/quickstart

.PHONY: install quickstart test check bench soak lock

install: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || { echo "making .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing requirements.lock"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# A candle file from a seed, a backtest over it, then five seconds of paper trading.
quickstart: install
	@mkdir -p $(SAMPLE)
	@$(BIN)/python -m adapters.mock.sample $(SAMPLE)/candles.csv --seed 7 --candles 20000
	@$(BIN)/headrace backtest config/quickstart.yaml --report $(SAMPLE)/report.html
	@$(BIN)/headrace run config/paper.yaml --for 5s

# TESTS narrows it: make test TESTS=tests/framework/bus
test: install
	@$(BIN)/python -m pytest -n 2 $(TESTS)

check: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# WORKLOADS narrows it: make bench WORKLOADS="bars bus"
bench: install
	@$(BIN)/python -m benchmarks $(WORKLOADS)

# Kills, crashes, faulty venues, stops and requests by the thousand; the variables set how many.
# CRASH_STEP=1 dies at every moment. LATE_S and NOISE_S are for a machine with nothing else to do.
KILLS ?= 1000
SEEDS ?= 200
CRASH_STEP ?= 1
FAULT_SEEDS ?= 1000
LINE_SEEDS ?= 1000
LIVE_SEEDS ?= 50
STOPS ?= 200
FLOOD ?= 1000000
OVERFLOWS ?= 10000
GATEWAY_KILLS ?= 50
API_EXAMPLES ?= 1000
LATE_S ?= 3
NOISE_S ?= 0.03
soak: install
	@HEADRACE_KILLS=$(KILLS) HEADRACE_CRASH_SEEDS=$(SEEDS) HEADRACE_CRASH_STEP=$(CRASH_STEP) \
		HEADRACE_FAULT_SEEDS=$(FAULT_SEEDS) HEADRACE_LINE_SEEDS=$(LINE_SEEDS) \
		HEADRACE_LIVE_SEEDS=$(LIVE_SEEDS) HEADRACE_STOPS=$(STOPS) \
		HEADRACE_FLOOD=$(FLOOD) HEADRACE_OVERFLOWS=$(OVERFLOWS) \
		HEADRACE_GATEWAY_TRAFFIC_KILLS=$(GATEWAY_KILLS) HEADRACE_API_EXAMPLES=$(API_EXAMPLES) \
		HEADRACE_LOAD_LATE_S=$(LATE_S) HEADRACE_LOAD_NOISE_S=$(NOISE_S) \
		$(BIN)/python -m pytest -n 2 tests/scenarios/test_kills.py \
		tests/scenarios/test_crash_points.py tests/scenarios/test_venue_faults.py \
		tests/scenarios/test_orderly_stop.py tests/scenarios/test_bus_load.py \
		tests/scenarios/test_live_kalshi.py tests/scenarios/test_live_binance.py \
		tests/scenarios/test_live_tektii.py tests/adapters/kalshi/test_protocol_properties.py \
		tests/scenarios/test_gateway_kills.py tests/adapters/tektii/test_api_description.py \
		tests/adapters/tektii/test_load.py

# Keeps the versions that are locked; make lock UPGRADE=--upgrade takes the newest.
lock: install
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet $(UPGRADE) \
		--extra data,report,postgres,fast,kalshi,metrics,calendars,dev --build-deps-for editable --strip-extras --allow-unsafe \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
