"""RFQs and quotes: somebody asks for a price off the book, somebody else names one.

    RFQ open -> quote created -> accepted by the asker -> confirmed by the quoter -> block trade

Accepting a side means that the quoter buys that outcome at its bid, and the asker the other one.
"""

from collections import deque

import msgspec

from adapters.kalshi.simulated.admission import Admission
from adapters.kalshi.simulated.block_trades import BlockTrades
from adapters.kalshi.simulated.domain import DOLLAR, Refusal, Rfq, RfqQuote, Side
from adapters.kalshi.simulated.emitted import (
    QuoteAccepted,
    QuoteCreated,
    QuoteExecuted,
    RfqCreated,
    RfqDeleted,
)
from adapters.kalshi.simulated.floor import Floor


class Communications:
    """RFQs, for everyone to see, and quotes, for their two parties."""

    def __init__(self, floor: Floor, admission: Admission, blocks: BlockTrades) -> None:
        self._floor = floor
        self._admission = admission
        self._blocks = blocks
        self._rfqs: dict[str, Rfq] = {}
        self._quotes: dict[str, RfqQuote] = {}
        self._closed: deque[str] = deque()  # RFQ ids, oldest first

    def create_rfq(
        self,
        account: str,
        market_ticker: str,
        *,
        contracts: int | None = None,
        target_cost: int | None = None,
    ) -> Rfq:
        """Ask for quotes. Raises Refusal 400 unless exactly one amount is given, 404, 409."""
        member = self._floor.accounts[account]
        traded = self._floor.market(market_ticker)
        self._admission.check_open(traded)
        if (contracts is None) == (target_cost is None) or (contracts or target_cost or 0) <= 0:
            raise Refusal(400, "invalid_parameters", "give contracts or a target cost")
        rfq = Rfq(
            rfq_id=self._floor.make_id(),
            account=member.name,
            creator_id=member.creator_id,
            market_ticker=market_ticker,
            event_ticker=traded.market.event_ticker,
            contracts=contracts,
            target_cost=target_cost,
            mve_collection_ticker=traded.market.mve_collection_ticker,
            mve_selected_legs=traded.market.mve_selected_legs,
            created_ns=self._floor.clock.now_ns,
        )
        self._rfqs[rfq.rfq_id] = rfq
        self._floor.emit(RfqCreated(rfq, rfq.created_ns))
        return rfq

    def delete_rfq(self, account: str, rfq_id: str) -> Rfq:
        """Withdraw an RFQ with its quotes. Raises Refusal 404."""
        rfq = self.rfq(rfq_id)
        if rfq.account != account or not rfq.is_open:
            raise Refusal(404, "not_found", f"no open RFQ {rfq_id!r} of this account")
        return self._close(rfq)

    def rfq(self, rfq_id: str) -> Rfq:
        """Return an RFQ. Raises Refusal 404."""
        rfq = self._rfqs.get(rfq_id)
        if rfq is None:
            raise Refusal(404, "not_found", f"no RFQ {rfq_id!r}")
        return rfq

    def rfqs(self) -> list[Rfq]:
        """Return the RFQs, oldest first, closed ones that are still kept included."""
        return list(self._rfqs.values())

    def create_quote(self, account: str, rfq_id: str, *, yes_bid: int, no_bid: int) -> RfqQuote:
        """Answer an RFQ; each bid is a price of its own leg, 0 is no bid.

        Raises:
            Refusal: 400 for prices off the grid or together above a dollar, or one's own RFQ; 404.
        """
        member = self._floor.accounts[account]
        rfq = self.rfq(rfq_id)
        if not rfq.is_open or rfq.account == account:
            raise Refusal(400, "invalid_parameters", "the RFQ is closed or one's own")
        self._check_bids(rfq, yes_bid, no_bid)
        quote = RfqQuote(
            quote_id=self._floor.make_id(),
            rfq_id=rfq_id,
            account=member.name,
            quote_creator_id=member.creator_id,
            rfq_account=rfq.account,
            rfq_creator_id=rfq.creator_id,
            market_ticker=rfq.market_ticker,
            event_ticker=rfq.event_ticker,
            yes_bid=yes_bid,
            no_bid=no_bid,
            yes_contracts_offered=self._blocks.contracts(rfq, yes_bid),
            no_contracts_offered=self._blocks.contracts(rfq, no_bid),
            rfq_target_cost=rfq.target_cost,
            created_ns=self._floor.clock.now_ns,
        )
        self._quotes[quote.quote_id] = quote
        self._floor.emit(QuoteCreated(quote, quote.created_ns))
        return quote

    def delete_quote(self, account: str, quote_id: str) -> RfqQuote:
        """Withdraw one's quote. Raises Refusal 404."""
        quote = self.quote(account, quote_id)
        if quote.account != account or quote.status != "open":
            raise Refusal(404, "not_found", f"no open quote {quote_id!r} of this account")
        return self._put(quote, status="cancelled")

    def accept_quote(self, account: str, quote_id: str, side: Side) -> RfqQuote:
        """Accept the quoter's bid for `side`; only who asked can. Raises Refusal 400, 404."""
        quote = self.quote(account, quote_id)
        if quote.rfq_account != account or quote.status != "open":
            raise Refusal(404, "not_found", f"no open quote {quote_id!r} for this account")
        count = quote.yes_contracts_offered if side == "yes" else quote.no_contracts_offered
        if not count:
            raise Refusal(400, "invalid_parameters", f"the quote has no bid for {side}")
        quote = self._put(quote, status="accepted", accepted_side=side, contracts_accepted=count)
        self._floor.emit(QuoteAccepted(quote, self._floor.clock.now_ns))
        return quote

    def confirm_quote(self, account: str, quote_id: str) -> RfqQuote:
        """Trade on an accepted quote; only the quoter can.

        Raises:
            Refusal: 400 if either party cannot pay, 404, 409 if there is no trading.
        """
        quote = self.quote(account, quote_id)
        if quote.account != account or quote.status != "accepted":
            raise Refusal(404, "not_found", f"no accepted quote {quote_id!r} of this account")
        quoter, asker = self._blocks.trade(quote)
        quote = self._put(quote, status="executed")
        now_ns = self._floor.clock.now_ns
        for order in (quoter, asker):
            self._floor.emit(
                QuoteExecuted(order.account, quote, order.order_id, order.client_order_id, now_ns)
            )
        self._close(self.rfq(quote.rfq_id))
        return quote

    def quote(self, account: str, quote_id: str) -> RfqQuote:
        """Return a quote to one of its parties. Raises Refusal 404."""
        quote = self._quotes.get(quote_id)
        if quote is None or account not in {quote.account, quote.rfq_account}:
            raise Refusal(404, "not_found", f"no quote {quote_id!r}")
        return quote

    def quotes(self, account: str) -> list[RfqQuote]:
        """Return the quotes to which an account is a party, oldest first."""
        return [q for q in self._quotes.values() if account in {q.account, q.rfq_account}]

    def _check_bids(self, rfq: Rfq, yes_bid: int, no_bid: int) -> None:
        grid = self._floor.market(rfq.market_ticker).grid
        legs = [price for price in (yes_bid, no_bid and DOLLAR - no_bid) if price]
        if not legs or any(price not in grid for price in legs) or yes_bid + no_bid > DOLLAR:
            raise Refusal(400, "invalid_price", f"no quote of {yes_bid} and {no_bid}")

    def _put(self, quote: RfqQuote, **fields: object) -> RfqQuote:
        quote = msgspec.structs.replace(quote, **fields)
        self._quotes[quote.quote_id] = quote
        return quote

    def _close(self, rfq: Rfq) -> Rfq:
        """Close an RFQ, and forget the oldest closed ones beyond what is kept."""
        now_ns = self._floor.clock.now_ns
        rfq = msgspec.structs.replace(rfq, is_open=False, deleted_ns=now_ns)
        self._rfqs[rfq.rfq_id] = rfq
        self._closed.append(rfq.rfq_id)
        for quote in [q for q in self._quotes.values() if q.rfq_id == rfq.rfq_id]:
            if quote.status in {"open", "accepted"}:
                self._put(quote, status="cancelled")
        self._floor.emit(RfqDeleted(rfq, now_ns))
        while len(self._closed) > self._floor.settings.rfqs_kept:
            self._forget(self._closed.popleft())
        return rfq

    def _forget(self, rfq_id: str) -> None:
        del self._rfqs[rfq_id]
        gone = [quote_id for quote_id, q in self._quotes.items() if q.rfq_id == rfq_id]
        for quote_id in gone:
            del self._quotes[quote_id]
