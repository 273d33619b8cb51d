"""What a simulated venue can be told at its start."""

import msgspec

from adapters.kalshi.simulated.activity import BACKGROUND_ACCOUNTS, ActivitySettings
from adapters.kalshi.simulated.auth import DEFAULT_SKEW_MS, NOBODY, AuthMode
from adapters.kalshi.simulated.channels import Profile
from adapters.kalshi.simulated.demo import demo_settings
from adapters.kalshi.simulated.exchange_settings import AccountSettings, ExchangeSettings
from adapters.kalshi.simulated.http import RestSettings
from adapters.kalshi.simulated.stream_settings import StreamSettings


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that the venue knows, and the account that it trades for."""

    key_id: str
    public_key: str  # RSA, PEM
    account: str = ""  # "": one of its own, called as the key


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue at its start; `profile` is that of streams and REST alike."""

    keys: tuple[KeySettings, ...] = ()
    auth: AuthMode = AuthMode.REQUIRE
    skew_ms: int = DEFAULT_SKEW_MS
    profile: Profile = Profile.CURRENT
    markets: int = 20  # of the demo
    exchange: ExchangeSettings | None = None  # instead of the demo
    activity: ActivitySettings | None = ActivitySettings()  # None: nothing happens by itself
    acts_for_accounts: bool = False  # the activity trades for the keys' accounts too (S5)
    streams: StreamSettings = StreamSettings()
    rest: RestSettings = RestSettings()

    @property
    def accounts(self) -> dict[str, str]:
        """Key id → account."""
        return {key.key_id: key.account or key.key_id for key in self.keys}

    def exchange_at(self, now_ns: int) -> ExchangeSettings:
        """Return the exchange, with a member for every key and for the activity.

        Who needs no key because nothing is checked is the member `main`.
        """
        exchange = self.exchange or demo_settings(now_ns, market_count=self.markets, accounts=())
        wanted = [
            *(AccountSettings(name=name, key_id=key) for key, name in self.accounts.items()),
            *([] if self.keys else [AccountSettings(name=NOBODY)]),
            *(BACKGROUND_ACCOUNTS if self.activity else ()),
        ]
        members = {account.name: account for account in (*wanted, *exchange.accounts)}
        return msgspec.structs.replace(exchange, accounts=tuple(members.values()))

    def activity_settings(self) -> ActivitySettings | None:
        """Return what goes on by itself."""
        if self.activity is None or not self.acts_for_accounts:
            return self.activity
        members = tuple(dict.fromkeys(self.accounts.values())) or (NOBODY,)
        return msgspec.structs.replace(self.activity, members=members)
