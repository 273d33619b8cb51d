"""`headrace check CONFIG`: builds everything a configuration names, and runs nothing."""

import argparse

from framework.settings.loading import load, located


def run(options: argparse.Namespace) -> int:
    """Print what would run, line by line."""
    settings = load(options.config)

    from framework.runtime.wiring import check

    with located(options.config):
        lines = check(settings)
    print(*lines, f"{options.config}: no mistakes found", sep="\n")
    return 0
