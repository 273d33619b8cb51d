"""YAML as untrusted input: what is refused before anything is decoded (T-42)."""

from pathlib import Path
from typing import Any

import pytest

from framework.errors import ConfigError
from framework.settings.document import MAXIMUM_BYTES, Document, parse_document, read_document


def parse(text: str, environment: dict[str, str] | None = None) -> Document:
    return parse_document(text, file="c.yaml", environment=environment or {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "c.yaml: is empty"),
        ("# only a comment\n", "c.yaml: is empty"),
        ("---\n", "the file must be a mapping"),
        ("- a\n- b\n", "c.yaml:1: the file must be a mapping"),
        ("just text", "c.yaml:1: the file must be a mapping"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2: only one document per file"),
        ("a: 1\na: 2\n", "c.yaml:2: a: the key is repeated"),
        ("a: {b: 1, b: 2}\n", "c.yaml:1: a.b: the key is repeated"),
        ("a: {b: 1, 'b': 2}\n", "c.yaml:1: a.b: the key is repeated"),
        ("? [a, b]\n: 1\n", "c.yaml:1: a key must be text"),
        ("a: !!python/object/apply:os.system [id]\n", "tag tag:yaml.org,2002:python/object/app"),
        ("a: !thing 1\n", "c.yaml:1: a: the tag !thing is not allowed"),
        ("a: !!str 1\n", "c.yaml:1: a: the tag tag:yaml.org,2002:str is not allowed"),
        ("!!str a: 1\n", "c.yaml:1: the tag tag:yaml.org,2002:str is not allowed"),
        ("a:\n\tb: 1\n", "c.yaml:2: a tab indents this line; YAML wants spaces"),
        ("a: {b: ${X}}\n", "inside braces write ${...} in quotes"),
        ("a: 'open\n", "c.yaml:2: while scanning a quoted scalar"),
        ("a: [1, 2\n", "c.yaml:2: "),
        ("a: b: c\n", "c.yaml:1: mapping values are not allowed"),
        ("a: @x\n", "c.yaml:1: "),
        ("a: &x [*x]\n", "c.yaml:1: a[0]: alias *x comes before its anchor"),
        ("a: *x\n", "alias *x comes before its anchor"),
        ("a: &x 1\nb: &x 2\n", "c.yaml:2: b: anchor &x is defined twice"),
        ("&x a: 1\n", "c.yaml:1: a: a key cannot be an anchor"),
        ("a: .nan\n", "c.yaml:1: a: .nan is not a number"),
        ("a: [1, -.INF]\n", "c.yaml:1: a[1]: -.INF is not a number"),
        ("${A}: 1\n", "c.yaml:1: ${A}: a variable can only be in a value"),
    ],
)
def test_what_yaml_allows_and_a_configuration_does_not(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)

    assert expected in str(caught.value)
    assert str(caught.value).isprintable()


def test_depth_ends_at_32_levels() -> None:
    def nested(levels: int) -> str:
        return "a: " + "[" * (levels - 1) + "]" * (levels - 1)

    parse(nested(32))
    with pytest.raises(ConfigError, match="nested deeper than 32 levels"):
        parse(nested(33))
    with pytest.raises(ConfigError, match="nested deeper than 32 levels"):
        parse(nested(200_000))


def test_an_alias_counts_towards_the_depth() -> None:
    inner = "[" * 20 + "]" * 20

    with pytest.raises(ConfigError, match="nested deeper"):
        parse(f"a: &x {inner}\nb: {'[' * 15}*x{']' * 15}\n")


def test_a_few_aliases_are_allowed() -> None:
    document = parse("a: &x {k: 1}\nb: *x\nc: [*x]\n")

    assert document.values == {"a": {"k": 1}, "b": {"k": 1}, "c": [{"k": 1}]}


def test_many_aliases_are_not() -> None:
    with pytest.raises(ConfigError, match="more than 10 aliases"):
        parse("a: &x 1\nb: [" + ", ".join(["*x"] * 11) + "]\n")


def test_aliases_cannot_make_a_small_file_large() -> None:
    first = "a: &a [" + ", ".join("1" * 1 for _ in range(5_000)) + "]\n"

    with pytest.raises(ConfigError, match="more than 50000 values"):
        parse(first + "b: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c]\n")


def test_a_file_is_at_most_one_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"

    path.write_text("a: 1\n" + "#" * (MAXIMUM_BYTES - 5))
    assert read_document(str(path), {}).values == {"a": 1}
    path.write_text("a: 1\n" + "#" * (MAXIMUM_BYTES - 4))
    with pytest.raises(ConfigError, match="is larger than 1000000 bytes"):
        read_document(str(path), {})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: 1\nb: \xff\n", ":2: is not UTF-8 text"),
        ("a: 1\n".encode("utf-16"), ":1: is not UTF-8 text"),
        (b"a: 1\nb: \x00\n", r":2: has a control character '\x00'"),
        (b"a: \x1b[31m\n", r":1: has a control character '\x1b'"),
        ("a: \u200f\ufeffb\n".encode(), ":1: has a control character"),
    ],
)
def test_a_file_is_printable_utf8(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        read_document(str(path), {})

    assert expected in str(caught.value)


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("\ufeffa: 1\r\nb: é\r\n".encode())

    assert read_document(str(path), {}).values == {"a": 1, "b": "é"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", "0x10"),
        ("nan", "nan"),
        ("'5'", "5"),
        ("+5", 5),
        ("-0", 0),
        ("1e5", 100_000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("0.1", 0.1),
        ("true", True),
        ("~", None),
        ("", None),
        ("'${X}'", "12"),
        ("${X}", 12),
        ("a${X}b", "a12b"),
        ("${Y:-3.5}", 3.5),
        ("${EMPTY:-7}", 7),
        ("${EMPTY}", None),
        ("${Y:-}", None),
        ("'${Y:-}'", ""),
        ("'$${X}'", "${X}"),
        ("$X", "$X"),
        ("5$", "5$"),
    ],
)
def test_a_scalar_means_one_thing(text: str, value: Any) -> None:
    found = parse(f"a: {text}\n", {"X": "12", "EMPTY": ""}).values["a"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${NO_SUCH}", "environment variable NO_SUCH is not set"),
        ("${", "'${' needs a name and a '}'"),
        ("${1A}", "'${' needs a name and a '}'"),
        ("${A-b}", "'${' needs a name and a '}'"),
        ("'${A'", "'${' needs a name and a '}'"),
        ("${}", "'${' needs a name and a '}'"),
    ],
)
def test_a_variable_that_cannot_be_replaced_is_named(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"x: 1\na: {text}\n")

    assert str(caught.value).startswith(f"c.yaml:2: a: {reason}")


def test_a_variable_cannot_add_structure() -> None:
    document = parse("a: ${X}\n", {"X": "1\nb: 2"})

    assert document.values == {"a": "1\nb: 2"}


def test_every_key_knows_its_line() -> None:
    document = parse("a:\n  b: [1,\n    {c: 2}]\nd:\n- e: 1\n")

    assert document.lines == {
        "a": 1, "a.b": 2, "a.b[0]": 2, "a.b[1]": 3, "a.b[1].c": 3, "d": 4, "d[0]": 5, "d[0].e": 5,
    }  # fmt: skip
    assert document.line_of("a.b[1].x.y") == 3
    assert document.line_of("z") is None
