"""The REST client of one Binance venue, with our limits below the venue's.

The venue counts a weight of 6,000 per minute and address, and 100 new orders per ten seconds and
account. Ours, in any such span: 1,500 + 60 × 60 = 5,100 of weight, and 40 + 10 × 5 = 90 orders,
which weigh 1 each. A cancel counts as weight only and may use what is kept for cancels.
Source: "Public REST API for Binance", IP Limits, Unfilled Order Count.
"""

from adapters.binance.codec import read_fault
from adapters.binance.settings import BinanceSettings
from framework.interfaces import AdapterContext
from framework.net.rate_limit import BucketOptions, RateLimits
from framework.net.rest import RestClient, RestOptions

ORDERS = "orders"
BUCKETS = {
    "": BucketOptions(capacity=1_500.0, refill_per_s=60.0),
    ORDERS: BucketOptions(capacity=40.0, refill_per_s=5.0, reserve=0.0),
}
DEPTH_WEIGHTS = {100: 5.0, 500: 25.0, 1_000: 50.0, 5_000: 250.0}
KLINES_WEIGHT = 2.0
RULES_WEIGHT = 20.0
LIMITED_STATUSES = (429, 418)  # too many requests; banned for having gone on


def open_client(settings: BinanceSettings, context: AdapterContext) -> RestClient:
    """Return the client that feed and broker share: the limits are those of one address."""
    return RestClient(
        "rest",
        settings.rest_url,
        context,
        limits=RateLimits(BUCKETS),
        options=RestOptions(deadline_s=settings.answer_s, limited_statuses=LIMITED_STATUSES),
        read_error=read_fault,
    )
