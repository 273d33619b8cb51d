"""How many instruments one principal may have looked up that nobody knew before.

What was found stays known for as long as the process runs, and in its log. Where any name is an
instrument (made-up markets, venues with millions of options), one caller that goes on naming new
ones would fill the memory for all; so each has an allowance of its own, which grows back.
"""

from framework.errors import RateLimited
from framework.model.desk import Principal
from framework.model.identity import venue_of
from framework.net.rate_limit import BucketOptions, TokenBucket

ALLOWANCE = BucketOptions(5_000, 0.1, reserve=0.0)  # 5,000 at once, then 360 an hour


class TooManyNewInstruments(RateLimited):
    """One principal had too many instruments looked up that nobody knew."""

    def __init__(self, principal: str, name: str, retry_after_s: float) -> None:
        super().__init__(venue_of(name), retry_after_s)
        self.args = (f"{principal} has had too many new instruments looked up to find {name} now",)


class NewInstruments:
    """The allowances, by principal; times are seconds of a clock that never goes back."""

    def __init__(self, options: BucketOptions = ALLOWANCE) -> None:
        self._options = options
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, principal: Principal, name: str, now_s: float) -> None:
        """Count one that was found.

        Raises:
            TooManyNewInstruments: says when there will be room for this one.
        """
        bucket = self._buckets.get(principal.name)
        if bucket is None:
            bucket = self._buckets[principal.name] = TokenBucket(self._options, now_s)
        wait_s = bucket.try_take(1, False, now_s)
        if wait_s:
            raise TooManyNewInstruments(principal.name, name, wait_s)
