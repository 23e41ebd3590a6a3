"""Names of ours and files of a user's own."""

import pytest

from spaces import RECIPES, SPACES, STUDIES, find_recipe, find_space, find_study

STUDY = """
from spaces import Study
from trainers.config import Config

base = Config(batch_size=8, n_images=64)
mine = Study("mine", base, rows={"a": {}, "b": {"loss": "hinge"}})
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="my_study.py"):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_names_of_ours():
    assert find_study("quick") is STUDIES["quick"]
    assert find_recipe("ring8_gan") == ("ring8_gan", RECIPES["ring8_gan"])
    assert find_space("aw") is SPACES["aw"]


def test_a_file_is_found_by_its_only_study_or_by_name(file):
    name = file(STUDY)
    assert find_study(name) == find_study(f"{name}:mine")
    assert find_recipe(name)[0] == "my_study"
    assert find_recipe(f"{name}:base") == ("base", find_study(name).recipe)


def test_any_path_and_what_dataclasses_need(file, tmp_path):
    (tmp_path / ".pyenv").mkdir()
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    a: int\n"
    file(head + STUDY, ".pyenv/a.py")
    assert find_study(".pyenv/a.py:mine").name == "mine"
    assert find_recipe(str(tmp_path / ".pyenv/a.py"))[0] == "a"


def test_a_space_of_ones_own(file):
    file("def wide(trial, base):\n    return {'lr': trial.suggest_float('lr', 1e-6, 1)}\n")
    assert find_space("my_study.py:wide").__name__ == "wide"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (None, "absent.py", ["absent.py does not exist"]),
        ("x = (", "my_study.py", ["my_study.py", "line 1", "never closed"]),
        ("a = 1\nb = c\n", "my_study.py", ["my_study.py", "line 2", "NameError", "'c'"]),
        ("import nonexistent_thing\n", "my_study.py", ["line 1", "nonexistent_thing"]),
        (STUDY + "other = Study('o', base, rows={'a': {}})\n", "my_study.py", ["2", "my_study.py:mine", ":other"]),
        ("x = 1\n", "my_study.py", ["0", "Study"]),
        ("raise SystemExit('bye')\n", "my_study.py", ["SystemExit: bye", "line 1"]),
        (STUDY, "my_study.py:mein", ["no Study 'mein'", "did you mean 'mine'"]),
        (STUDY.replace("batch_size=8", "batch_size=-8"), "my_study.py", ["line 5", "batch_size = -8"]),
        (STUDY.replace("hinge", "hinges"), "my_study.py", ["line 6", "hinges", "did you mean 'hinge'"]),
        (None, "quik", ["'quik'", "did you mean 'quick'", "file.py"]),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(file, text, name, words):
    if text is not None:
        file(text)
    with pytest.raises(ValueError) as told:
        find_study(name)
    sentence = str(told.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in words), sentence


def test_spaces_that_are_none(file):
    file("wide = 3\n")
    with pytest.raises(ValueError, match="should be a function"):
        find_space("my_study.py:wide")
    with pytest.raises(ValueError, match="did you mean 'coopinit'"):
        find_space("coopinits")
    with pytest.raises(ValueError, match="no object 'wider'"):
        find_space("my_study.py:wider")
