"""Whatever is done to a good configuration: settings, or one line; never a traceback (R-88)."""

from pathlib import Path
from random import Random

import pytest

from framework.errors import ConfigError
from framework.settings.loading import load, locate
from framework.settings.structs import Settings
from tests.framework.settings.samples import GOOD

MUTATIONS = 5_000
PIECES = """
null true -1 0 1e999 .nan .inf NaN 1e400 ' " [ { } ] [] {} *a &a | > --- ... % @ ` << , # \\ 1_000
!!python/object:os.system !x ${ ${X} ${Y:- ${Y:-1} ../.. 1:30 2024-01-01 0x1f 0o17 yes 5e-324
1.7976931348623159e308 'NaN' 'Infinity' '1e999999999' '-0' 0.1234567890123456789012345678901
"""
NASTY = [
    *PIECES.split(),
    *("&a [*a]", "? ", ": ", "- ", "? [a]: b", "\t", "\n", "\r", "\x00", "\x1b[31m", "\x85"),
    *("\u2028", "\ufeff", "\U0001f600", "\ud7ff", "9" * 60, "a" * 300, "[" * 64),
]


def inserted(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(NASTY) + text[at:]


def cut(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + text[at + random.randint(1, 12) :]


def truncated(text: str, random: Random) -> str:
    return text[: random.randrange(len(text) + 1)]


def mistyped(text: str, random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + chr(random.randrange(0x20, 0x7F)) + text[at + 1 :]


def rearranged(text: str, random: Random) -> str:
    lines = text.split("\n")
    row, other = random.randrange(len(lines)), random.randrange(len(lines))
    changed = random.choice(
        (
            lines[:row] + lines[row + 1 :],
            lines[: row + 1] + lines[row:],
            [*lines[:row], lines[other], *lines[row + 1 :]],
            [*lines[:row], " " * random.randrange(6) + lines[row].lstrip(), *lines[row + 1 :]],
        )
    )
    return "\n".join(changed)


def revalued(text: str, random: Random) -> str:
    lines = text.split("\n")
    row = random.randrange(len(lines))
    key, colon, _ = lines[row].partition(":")
    lines[row] = f"{key}{colon} {random.choice(NASTY)}"
    return "\n".join(lines)


def reworded(text: str, random: Random) -> str:
    words = text.split() or [""]
    return text.replace(random.choice(words), random.choice(words), 1)


CHANGES = (inserted, cut, truncated, mistyped, rearranged, rearranged, revalued, reworded)


def mutated(text: str, random: Random) -> str:
    """Return `text` with one to four changes of the kinds that people and disks make."""
    for _ in range(random.randint(1, 4)):
        text = random.choice(CHANGES)(text, random)
    return text


def outcome_of(path: Path) -> str:
    """Return "" for a file that loads, else its error; anything but a ConfigError passes on."""
    try:
        settings = load(path, environment={"X": "1"})
    except ConfigError as error:
        locate(path, error.key)
        return str(error)
    assert isinstance(settings, Settings)
    return ""


@pytest.mark.parametrize("seed", range(10))
def test_a_mutated_file_loads_or_says_why_on_one_line(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    path = tmp_path / "config.yaml"
    refused = 0
    for _ in range(MUTATIONS // 10):
        text = mutated(GOOD, random)
        path.write_bytes(text.encode(errors="surrogatepass"))

        message = outcome_of(path)

        assert message == "" or (message.startswith(str(path)) and message.isprintable()), text
        refused += message != ""
    assert refused > MUTATIONS // 20


@pytest.mark.parametrize("seed", range(5))
def test_damaged_bytes_load_or_say_why_on_one_line(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    path = tmp_path / "config.yaml"
    for _ in range(100):
        content = bytearray(GOOD.encode())
        for _ in range(random.randint(1, 8)):
            content[random.randrange(len(content))] = random.randrange(256)
        path.write_bytes(content)

        message = outcome_of(path)

        assert message == "" or (message.startswith(str(path)) and message.isprintable()), content
