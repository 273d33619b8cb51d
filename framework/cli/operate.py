"""`headrace resolve | assign | adopt | close-run | resume-run | ...`: what an operator puts right.

Each puts a request into the mailbox of the process that runs the configuration and waits for its
answer. When no process runs, what changes something waits for the next start, and is done there
before anything is sent; what only lists something needs a process.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from framework.runtime.operator_place import OperatorPlace
    from framework.runtime.operator_requests import Answer, Ask

ANSWER_S = 10.0
DANGEROUS = frozenset({"resolve", "assign"})  # T-14: they change what is believed without proof


def add_parsers(commands: Any) -> None:
    """Register the verbs."""
    resolve = _verb(commands, "resolve", "end the doubt about an order by what you saw yourself")
    resolve.add_argument("order", help="the order's id, as `headrace orders` shows it")
    choices = ("accepted", "cancelled", "rejected", "filled")
    resolve.add_argument("--as", dest="evidence", choices=choices, required=True)
    resolve.add_argument(
        "--venue-order-id", default="", metavar="ID", help="accepted: its id there"
    )
    resolve.add_argument("--quantity", type=decimal, metavar="Q", help="filled: how much")
    resolve.add_argument("--price", type=decimal, metavar="P", help="filled: at what price")
    resolve.add_argument("--execution-id", default="", metavar="ID", help="filled: the venue's id")
    resolve.add_argument("--reason", default="", help="cancelled, rejected: kept with the order")

    assign = _verb(commands, "assign", "move a position between runs of one account")
    assign.add_argument("instrument", help='such as "binance:BTCUSDT"')
    assign.add_argument("quantity", type=decimal, help="signed: -5 moves a short position of 5")
    assign.add_argument("--from", dest="from_run", required=True, metavar="RUN")
    assign.add_argument("--to", dest="to_run", required=True, metavar="RUN")
    assign.add_argument("--price", type=decimal, required=True, metavar="P")
    assign.add_argument("--product", default="", help="where the venue keeps products apart")
    assign.add_argument("--position-id", default="", metavar="ID", help="and positions")

    adopt = _verb(commands, "adopt", "take an order that nobody here sent into a run")
    adopt.add_argument("venue_order", help="the venue's id of the order")
    adopt.add_argument("--run", dest="to_run", required=True, metavar="RUN")

    close = _verb(commands, "close-run", "end a run for good")
    close.add_argument("run", help="the run's id")
    close.add_argument(
        "--assign-to-external", action="store_true", help="what it holds goes to `external`"
    )

    resume = _verb(
        commands, "resume-run", "let a run enter again that protection or a breaker paused"
    )
    resume.add_argument("run", help="the run's id")

    reset = _verb(commands, "reset-breaker", "let refused exits of an order be tried again")
    reset.add_argument("order", help="the entry's order id")

    for name, text in (("orders", "list orders"), ("positions", "list positions")):
        shown = _verb(commands, name, f"{text} of the process that runs")
        shown.add_argument("--json", action="store_true", help="print JSON only")
        if name == "orders":
            shown.add_argument("--all", action="store_true", help="closed ones in memory too")
    shown = _verb(commands, "runs", "list runs of the process that runs")
    shown.add_argument("--json", action="store_true", help="print JSON only")


def decimal(text: str) -> Decimal:
    """Return an exact number from an argument."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not value.is_finite() or len(text) > 40:
        raise ValueError(text)
    return value


def run(options: argparse.Namespace) -> int:
    """Ask for what the command says, and print what came of it."""
    from framework.runtime.operator_place import read_place

    place = read_place(options.config)
    ask = checked(asked_for(options))
    if options.command in DANGEROUS and not is_confirmed(options, place, described(options)):
        return 1
    return report(options, asyncio.run(send(place, ask)))


def asked_for(options: argparse.Namespace) -> "Ask":
    """Return the request that the arguments stand for."""
    from framework.runtime import operator_requests as requests

    makers: dict[str, Callable[[], Ask]] = {
        "resolve": lambda: requests.Resolve(
            order_id=options.order,
            evidence=requests.Evidence(options.evidence),
            venue_order_id=options.venue_order_id,
            quantity=options.quantity,
            price=options.price,
            execution_id=options.execution_id,
            reason=options.reason,
        ),
        "assign": lambda: requests.Assign(
            instrument=options.instrument,
            quantity=options.quantity,
            from_run=options.from_run,
            to_run=options.to_run,
            price=options.price,
            product=options.product,
            position_id=options.position_id,
        ),
        "adopt": lambda: requests.Adopt(options.venue_order, options.to_run),
        "close-run": lambda: requests.CloseRun(options.run, options.assign_to_external),
        "resume-run": lambda: requests.ResumeRun(options.run),
        "reset-breaker": lambda: requests.ResetBreaker(options.order),
        "orders": lambda: requests.ShowOrders(options.all),
        "positions": requests.ShowPositions,
        "runs": requests.ShowRuns,
    }
    return makers[options.command]()


def checked(ask: "Ask") -> "Ask":
    """Return `ask` as the other side will read it. Raises ConfigError: it would not take it."""
    import msgspec

    from framework.errors import ConfigError

    try:
        return msgspec.json.decode(msgspec.json.encode(ask), type=type(ask))
    except msgspec.ValidationError as error:
        raise ConfigError(f"an argument does not fit: {error}") from None


def described(options: argparse.Namespace) -> str:
    """Return what a dangerous command is about to do, for the person who confirms it."""
    if options.command == "resolve":
        return f"take order {options.order} for {options.evidence}, on your word alone"
    return (
        f"move {options.quantity:f} {options.instrument} at {options.price:f} "
        f"from {options.from_run} to {options.to_run}"
    )


def is_confirmed(options: argparse.Namespace, place: "OperatorPlace", what: str) -> bool:
    """Whether the person typed the configuration's name, or `--yes` says so (T-14)."""
    from framework.cli.main import say

    if options.yes:
        return True
    if not sys.stdin.isatty():
        say("this asks for a confirmation and there is no terminal: add --yes")
        return False
    accounts = ", ".join(place.accounts) or "none"
    say(f"about to {what}")
    say(f"{options.config}: mode {place.mode or '?'}, accounts {accounts}")
    print(f"type {place.name!r} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() == place.name:
        return True
    say("nothing was done")
    return False


async def send(place: "OperatorPlace", ask: "Ask", *, stays: bool = False) -> "Answer":
    """Put a request into the mailbox and return what came of it.

    One that is not answered in time is taken back, unless it `stays`.

    Raises:
        ConfigError: the configuration has no journal, so there is no mailbox.
        JournalError: nobody can answer, or nobody did.
    """
    from framework.clock.clock import LiveClock
    from framework.errors import ConfigError, JournalError
    from framework.runtime import asking
    from framework.runtime.operator_requests import Answer, Reading

    folder = place.mailbox
    if folder is None:
        raise ConfigError("there is no journal, so there is nothing to operate on", key="journal")
    is_running = asking.is_listening(folder)
    if not is_running and isinstance(ask, Reading):
        raise JournalError(f"no process runs with this journal (mailbox {folder})")
    request = asking.put(folder, ask, by=asking.who_asks(), time_ns=LiveClock().now_ns)
    if not is_running:
        text = (
            f"no process runs with this journal (mailbox {folder}):"
            " this waits for the next start and is done before anything is sent"
        )
        return Answer(request, is_done=True, text=text)
    answer = await asking.answer_to(folder, request, within_s=ANSWER_S)
    return answer or _unanswered(folder, request, stays=stays)


def _unanswered(folder: "Path", request: str, *, stays: bool) -> "Answer":
    from framework.runtime import asking
    from framework.runtime.operator_requests import Answer

    late = f"no answer within {ANSWER_S:g} s"
    if stays:
        text = f"{late}: the request stays and is done as soon as the process can"
    elif asking.take_back(folder, request):
        text = f"{late}: the request was taken back, nothing was done"
    else:
        text = f"{late}: the request was taken, whether it was done is unknown; look, then repeat"
    return Answer(request, is_done=False, text=text)


def report(options: argparse.Namespace, answer: "Answer") -> int:
    """Print an answer: rows and what was done on stdout, a refusal on stderr."""
    from framework.cli.main import say

    if not answer.is_done:
        say(f"{options.command}: {answer.text}")
        return 1
    if options.command in ("orders", "positions", "runs"):
        show(answer, is_json=options.json)
        if answer.text:
            say(answer.text)
    else:
        from framework.settings.places import one_line

        print(one_line(answer.text, 2_000))
    return 0


def show(answer: "Answer", *, is_json: bool) -> None:
    """Print rows as JSON, or as a table without its empty columns."""
    if is_json:
        import msgspec

        print(msgspec.json.encode(answer.rows).decode())
        return
    from framework.settings.places import one_line

    names = [name for name in (answer.rows or ({},))[0] if any(row[name] for row in answer.rows)]
    lines = [[name.upper() for name in names]]
    lines += [[one_line(row[name], 60) for name in names] for row in answer.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if names else []:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
    if not answer.rows:
        print("none")


def _verb(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    verb.set_defaults(module="operate")
    verb.add_argument("config", help="YAML file of the process")
    if name in DANGEROUS:
        verb.add_argument("--yes", action="store_true", help="do not ask for a confirmation")
    return verb
