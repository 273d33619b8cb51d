"""Log levels as the variable `RUST_LOG` says them: words, and filters by target.

    info    warn    WARNING    trace    off
    gateway=debug    info,gateway=debug    warn,tektii::stream=trace/regex

There is one level for the whole process here: that of the most talkative part. What comes after a
slash chooses lines by their text in the original, and is left out.

Source: section 17 of the gateway's description; the form is that of Rust's `env_logger`.
"""

LEVELS = {  # from the most talkative on
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "critical",
    "off": "critical",
}
ORDER = list(dict.fromkeys(LEVELS.values()))


def level_of(text: str) -> str | None:
    """Return the level that a filter comes to; None: it is no filter."""
    levels = [_level(one) for one in text.partition("/")[0].split(",") if one.strip()]
    known = [level for level in levels if level is not None]
    if not known or len(known) < len(levels):
        return None
    return min(known, key=ORDER.index)


def _level(directive: str) -> str | None:
    target, equals, word = directive.strip().rpartition("=")
    if equals and not target:
        return None
    return LEVELS.get(word.lower())
