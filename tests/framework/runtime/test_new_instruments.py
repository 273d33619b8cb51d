"""New instruments are counted to whoever names them (R-84)."""

import pytest

from framework.errors import RateLimited
from framework.model.desk import ALL_VERBS, Place, Principal
from framework.net.rate_limit import BucketOptions
from framework.runtime import desk_markets
from framework.runtime.new_instruments import NewInstruments, TooManyNewInstruments
from framework.runtime.runner import Runtime
from framework.settings.loading import load
from framework.simulation.loop import run_simulated
from tests.source_code import ROOT

A, B = (Principal(name, (Place("mock", "main", "gateway"),), verbs=ALL_VERBS) for name in "ab")


def test_each_has_an_allowance_of_its_own_that_grows_back() -> None:
    found = NewInstruments(BucketOptions(2, 0.5, reserve=0.0))
    found.take(A, "mock:X", 0.0)
    found.take(A, "mock:Y", 0.0)

    with pytest.raises(TooManyNewInstruments, match=r"a has had too many .* mock:Z") as caught:
        found.take(A, "mock:Z", 1.0)
    assert isinstance(caught.value, RateLimited)
    assert (caught.value.venue, caught.value.retry_after_s) == ("mock", 1.0)

    found.take(B, "mock:Z", 1.0)
    found.take(A, "mock:Z", 2.0)


def test_whoever_named_too_many_harms_neither_himself_with_old_ones_nor_others_with_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-84: at a desk over a market where every name is an instrument."""
    few = BucketOptions(3, 0.1, reserve=0.0)
    monkeypatch.setattr(desk_markets, "NewInstruments", lambda: NewInstruments(few))
    settings = load(ROOT / "config" / "tektii_gateway.yaml", environment={"GATEWAY_PORT": "0"})

    async def main() -> None:
        async with Runtime(settings) as runtime:
            desk = runtime.desk
            for name in ("mock:A", "mock:B", "mock:C", "mock:A"):
                assert (await desk.instrument(A, name)).id == name
            with pytest.raises(TooManyNewInstruments):
                await desk.instrument(A, "mock:D")
            assert await desk.quote(A, "mock:C") is not None
            assert (await desk.instrument(B, "mock:D")).id == "mock:D"
            assert (await desk.instrument(A, "mock:D")).id == "mock:D"

    run_simulated(main, seed=1, start_ns=1_790_000_000_000_000_000)
