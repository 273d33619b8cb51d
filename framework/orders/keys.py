"""Keys that the framework makes itself: nobody else may give an order one of these.

    <session>.<sequence handled>.<n-th command>    a strategy's order without a key of its own
    <entry's key>/stop, /target, /trail            an exit, with `.2`, `.3` when it is made again
    close.<time>.<n>                               a closing order

The log need not be asked about a strategy's own keys, as no two of them are equal; so a key from
elsewhere that looked like one would be taken for new however often it came (R-29).
"""

import re

CLOSE = "close."
_OWN = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:/|\Z)")
_EXIT = re.compile(r"/(?:stop|target|trail)(?:\.[0-9]+)?\Z")


def is_own(key: str) -> bool:
    """Tell whether a key has the form that a strategy's context makes, or belongs to such one."""
    return _OWN.match(key) is not None


def fault_in_key(key: str) -> str | None:
    """Return why a caller may not give an order this key, or None."""
    is_exits = "/" in key and _EXIT.search(key) is not None
    if is_exits or is_own(key) or key.startswith(CLOSE):
        return f"key {key!r} has a form that is kept for the framework's own orders"
    return None
