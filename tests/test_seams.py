"""Law 1: time, network, chance, blocking work and processes are seams.

A violation is one line that begins with `file:line`. An exception has its place and reason here.
"""

from pathlib import Path

import pytest

from tests.source_code import Use, modules_in, uses_of

PRODUCT = modules_in("framework", "adapters", "strategies")


def below(package: str, *names: str) -> set[str]:
    """Return the full names of `names` in `package`."""
    return {f"{package}.{name}" for name in names}


SEAMS = {  # what only the seam itself may name: a whole module, or single names of one
    "clock": {
        *below("time", "time", "time_ns", "monotonic", "monotonic_ns", "sleep", "localtime"),
        *below("time", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns"),
        *below("time", "gmtime", "thread_time", "thread_time_ns", "clock_gettime", "strftime"),
        *below("datetime.datetime", "now", "utcnow", "today"),
        "datetime.date.today",
    },
    "waiting": {"asyncio.sleep", "anyio.sleep", "anyio.sleep_until"},
    "chance": {
        *below("random", "random", "randint", "randrange", "choice", "choices", "shuffle"),
        *below("random", "sample", "uniform", "gauss", "seed", "getrandbits", "SystemRandom"),
        *below("numpy.random", "seed", "rand", "randn", "random", "randint", "normal", "choice"),
        *("os.urandom", "secrets", "uuid"),
    },
    "network": {
        *("socket", "ssl", "http.client", "urllib.request", "aiohttp"),
        *below("asyncio", "open_connection", "open_unix_connection", "start_server"),
    },
    "threads": {
        *("threading.Thread", "threading.Timer", "concurrent", "multiprocessing", "subprocess"),
        *below("asyncio", "to_thread", "create_subprocess_exec", "create_subprocess_shell"),
        *below("os", "fork", "system", "popen"),
    },
    "money": below("decimal", "getcontext", "setcontext", "localcontext", "DefaultContext"),
    "hash": {"builtins.hash"},  # differs from process to process
}

ALLOWED = {  # (place, seam): why
    ("framework/clock", "clock"): "is the clock",
    ("framework/simulation", "network"): "is the simulated network",
    ("framework/alerts/webhook.py", "network"): "posts alerts; only where a configuration says so",
    ("framework/alerts/mail.py", "network"): "mails alerts; only where a configuration says so",
    ("framework/alerts/command.py", "threads"): "starts the program a configuration names",
    ("framework/runtime/kill_file.py", "threads"): "sees the kill file while the loop is busy",
    ("framework/runtime/asking.py", "chance"): "a request's name must not meet another's",
    ("framework/simulation/creation_order.py", "hash"): "simulated tasks hash by a counter",
    ("framework/clock/watchdog.py", "threads"): "sees a blocked loop from outside it",
    ("framework/store/writer.py", "threads"): "waits for the disk in the loop's place",
    ("framework/store/postgres_connection.py", "threads"): "waits for the server, as above",
    ("framework/runtime/runner.py", "waiting"): "waits for what starts and stops, in real time",
    ("framework/runtime/recorded_data.py", "waiting"): "paces virtual time on the real loop",
    ("framework/runtime/keeping.py", "waiting"): "writes to disk as real time passes",
    ("framework/runtime/runner.py", "chance"): "a journal's id is random at creation",
    ("framework/net", "network"): "is the network",
    ("framework/net", "waiting"): "waits in transport time, which is the loop's",
    ("framework/interfaces.py", "network"): "names the type of a connector, and imports nothing",
    ("framework/adapter_kit/stage.py", "network"): "as above",
    ("adapters/kalshi/simulated", "network"): "serves the simulated venue",
    ("adapters/tektii/simulated", "network"): "stands between a gateway and its client",
    ("adapters/kalshi/venue.py", "network"): "puts the simulated venue together",
    ("adapters/binance/simulated", "network"): "serves the simulated venue",
    ("framework/server", "network"): "serves connections",
    ("framework/server/tokens.py", "chance"): "a salt must not be guessable",
}


def is_named(use: Use, banned: set[str]) -> bool:
    """Say whether a use is one of the banned names, or inside a banned module."""
    return any(use.name == name or use.name.startswith(f"{name}.") for name in banned)


def only_yields(use: Use) -> bool:
    """Say whether a call is `sleep(0)`: a turn for the loop, no time in it."""
    return use.call is not None and use.call.only_value == 0


def is_allowed(module: Path, seam: str) -> bool:
    """Say whether `module` is, or lies in, a place with an exception for `seam`."""
    places = [module, *module.parents]
    return any((place.as_posix(), seam) in ALLOWED for place in places)


@pytest.mark.parametrize("seam", SEAMS)
def test_only_the_seam_itself_names(seam: str) -> None:
    outside = {
        f"{module}:{use.line} uses {use.name}"
        for module in PRODUCT
        if not is_allowed(module, seam)
        for use in uses_of(module)
        if is_named(use, SEAMS[seam])
        if not (seam == "waiting" and only_yields(use))
    }

    assert "\n".join(sorted(outside)) == ""


def test_every_random_source_has_a_seed() -> None:
    sources = {"random.Random", "numpy.random.default_rng"}

    unseeded = [
        f"{module}:{use.line} calls {use.name} without a seed"
        for module in PRODUCT
        for use in uses_of(module)
        if use.name in sources and use.call is not None and not use.call.argument_count
    ]

    assert "\n".join(unseeded) == ""


def test_every_exception_is_still_needed() -> None:
    existing = {place.as_posix() for module in PRODUCT for place in [module, *module.parents]}
    used = {
        (place.as_posix(), seam)
        for seam, banned in SEAMS.items()
        for module in PRODUCT
        if any(is_named(use, banned) for use in uses_of(module))
        for place in [module, *module.parents]
    }

    assert [entry for entry in ALLOWED if entry[0] in existing and entry not in used] == []
