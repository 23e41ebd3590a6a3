"""Names of files that titles give: as they are where they can be, else short, safe and each its own."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.messages import MOST_BYTES, file_name, plain_name


@pytest.mark.parametrize(
    "title",
    [
        "quick",
        "quick (tiny)",
        "images (dataset cats.v2 1a2b, features raw, backbone_options {'width': 4}, budget 0.5)",
        "tuned ring8_gan, ring8_coop_aw (random, none)",
        "α2 über 0,5",
    ],
)
def test_a_usual_title_is_the_name(title):
    assert file_name(title) == title


@pytest.mark.parametrize(
    "title",
    ["x" * 300, "..", ".hidden", "a/b", "../../etc", "", " ", "画" * 100, "a\nb", "\x1b[2J", "\udcff", "x" * 999],
)
def test_other_titles_give_a_name_of_their_own(title, tmp_path):
    name = file_name(title)
    assert name != title
    assert not name.startswith(".")
    assert len(os.fsencode(name)) <= MOST_BYTES
    assert name.isprintable()
    (tmp_path / name).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@given(st.lists(st.text(), unique=True, min_size=2, max_size=2))
def test_two_titles_have_two_names(titles):
    assert len({file_name(title) for title in titles}) == 2
    assert len({plain_name(title) for title in titles if title.strip("- ")}) == len(
        [t for t in titles if t.strip("- ")]
    )


def test_letters_that_a_machine_cannot_write(monkeypatch):
    monkeypatch.setattr("os.fsencode", lambda name: name.encode("ascii"))
    first, second = file_name("таблица"), file_name("картинка")
    assert first.isascii()
    assert first != second


def test_plain_names():
    assert plain_name("coop x aw") == "coop-x-aw"
    assert plain_name("картинка") != plain_name("таблица")
    assert len(plain_name("x" * 999)) <= MOST_BYTES
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in plain_name("ü/é: (a), " * 9))
