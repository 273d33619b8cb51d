"""Where the operator's files lie, found without the configuration's secrets."""

from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework.runtime.operator_place import OperatorPlace, place_of, read_place
from framework.settings.loading import load

TEXT = """\
mode: paper
name: demo
journal: {journal}
{more}
accounts: {{main: {{venue: a, currency: USD, balances: {{USD: 1}}}}}}
venues: {{a: {{adapter: mock, settings: {{token: "${{NOT_SET}}"}}}}}}
"""


def place(folder: Path, journal: str, more: str = "") -> OperatorPlace:
    path = folder / "c.yaml"
    path.write_text(TEXT.format(journal=journal, more=more))
    found = read_place(str(path), {"FOLDER": "/data"})
    loaded = load(path, environment={"NOT_SET": "x", "FOLDER": "/data"})
    assert place_of(loaded) == found
    return found


@pytest.mark.parametrize(
    ("journal", "beside"),
    [
        ("sqlite:///headrace.db", "headrace.db"),
        ("sqlite:////var/lib/h.db", "/var/lib/h.db"),
        ('"sqlite:///${FOLDER}/h.db"', "/data/h.db"),
        ("postgresql://host/headrace", "headrace-demo"),
    ],
)
def test_the_files_lie_beside_the_journal(tmp_path: Path, journal: str, beside: str) -> None:
    found = place(tmp_path, journal)

    assert found == OperatorPlace(
        name="demo",
        mode="paper",
        accounts=("main",),
        mailbox=Path(f"{beside}.operator"),
        kill_file=Path(f"{beside}.kill"),
    )


@pytest.mark.parametrize("journal", ["null", '"memory:"'])
def test_without_a_journal_on_disk_only_a_named_kill_file_is_left(
    tmp_path: Path, journal: str
) -> None:
    assert place(tmp_path, journal).kill_file is None
    named = place(tmp_path, journal, "kill_file: stop")
    assert (named.mailbox, named.kill_file) == (None, Path("stop"))


def test_a_named_kill_file_takes_the_place_of_the_usual_one(tmp_path: Path) -> None:
    assert place(tmp_path, "sqlite:///h.db", 'kill_file: "${FOLDER}/stop"').kill_file == Path(
        "/data/stop"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("journal: 5\n", "journal"),
        ('journal: "sqlite:///${NOWHERE}"\n', "journal"),
        ("journal: h.db\n", "journal"),
        ("kill_file: [x]\n", "kill_file"),
        ("name: a/b\njournal: postgresql://h/d\n", "name"),
        ("[1]\n", ""),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        read_place(str(path), {})

    assert caught.value.file == str(path)
    assert caught.value.key == key
