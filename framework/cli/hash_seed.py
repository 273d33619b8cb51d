"""PYTHONHASHSEED decides the order of sets: what is recorded, and its replay, need one that is set.

It can only be chosen before the interpreter starts, so that this program is started again. Where
`main` was called by another program, that is left as it is.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

VARIABLE = "PYTHONHASHSEED"
RANDOM = "random"
PROGRAM = "headrace"


def is_fixed(environment: Mapping[str, str]) -> bool:
    """Whether the order of sets is not left to chance."""
    return environment.get(VARIABLE, "") not in ("", RANDOM)


def start_again(hash_seed: str, environment: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Replace this process by one with `hash_seed`; `arguments` are those of its program.

    Returns where the program is not this one.
    """
    program = Path(arguments[0])
    if program.name != PROGRAM and program.parts[-2:] != ("framework", "__main__.py"):
        return
    command = [sys.executable, "-m", "framework", *arguments[1:]]
    os.execve(sys.executable, command, {**environment, VARIABLE: hash_seed})
