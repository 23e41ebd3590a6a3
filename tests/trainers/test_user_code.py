"""A user's own code: what it is found by, and one sentence with the line for whatever goes wrong in it."""

import sys
from types import FunctionType

import pytest

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.names import DATASETS
from trainers.user_code import module_file, resolve, user_modules


def test_objects_of_the_wrong_kind_are_refused():
    with pytest.raises(ValueError, match="'os:sep' should be a function, not a str"):
        resolve(DATASETS, "os:sep", FunctionType)
    with pytest.raises(ValueError, match="should return a Dataset, not a str"):
        load_dataset(Config(dataset="tempfile:gettempdir", features="raw"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import torch\n\ndef build(:\n", ["SyntaxError", "line 3"]),
        ("x = 1\ny = undefined\n", ["NameError: name 'undefined' is not defined", "line 2"]),
        ("import math\nmath.sqrt(-1)\n", ["ValueError: ", "line 2"]),
        ("import no_such_thing\n", ["ModuleNotFoundError", "no_such_thing", "line 1"]),
        ("def f():\n    raise KeyError\n\nf()\n", ["KeyError (", "line 2"]),
        ("import sys\nsys.exit(3)\n", ["SystemExit: 3", "line 2"]),
        ("raise RuntimeError('two\\nlines')\n", ["RuntimeError: two lines ("]),
        ("other = 1\n", ["AttributeError", "thing"]),
    ],
)
def test_a_module_that_does_not_load_is_told_with_its_line(text, words, user_module, tmp_path, monkeypatch):
    name = user_module(text)
    for folder in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(folder)
        with pytest.raises(ValueError) as caught:
            resolve(DATASETS, f"{name}:thing")
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert all(word in sentence for word in (f"cannot load '{name}:thing'", *words)), sentence
        where = f"({(tmp_path / (name + '.py')).relative_to(folder)}, line"
        assert "line" not in "".join(words) or where in sentence, sentence


def test_a_name_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match=r"cannot load 'no_such_module:thing': ModuleNotFoundError: .*$"):
        resolve(DATASETS, "no_such_module:thing")
    for name in (":thing", ".mine:thing", "math:"):
        with pytest.raises(ValueError, match="cannot load"):
            resolve(DATASETS, name)


def test_what_is_sent_of_a_users_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "one_file.py").write_text("")
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner" / "__init__.py").write_text("")
    assert module_file("one_file:name") == str(tmp_path / "one_file.py")
    assert module_file("package.inner:name") == str(tmp_path / "package")
    assert not sys.modules.keys() & {"one_file", "package"}  # found without being run


def test_the_names_of_ones_own_in_a_config():
    fields = {"features": "raw", "backbone": "b:build", "loss": "a:loss"}
    assert user_modules(Config(dataset="c:data", **fields)) == ["a:loss", "b:build", "c:data"]
    assert user_modules(Config(dataset="folder:photos", **fields)) == ["a:loss", "b:build"]
    penalties = {"penalty_d": {"d:drift": 1.0, "a:loss": 1.0}, "penalty_g": {"g:pull": 1.0}}
    assert user_modules(Config(**fields, **penalties)) == ["a:loss", "b:build", "d:drift", "g:pull"]
    assert user_modules(Config()) == []
