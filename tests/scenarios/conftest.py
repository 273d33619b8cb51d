"""The process put back as it was, after commands that set it up for themselves."""

from tests.framework.cli.conftest import process

__all__ = ["process"]
