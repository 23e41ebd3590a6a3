"""What a user's file patches when it is run reaches nothing that our code finds out."""

import time

import pytest

from spaces import find_study
from trainers import apart, loop, user_code
from trainers.config import Config
from trainers.loop import dry_run


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A study of one row, whose import patches how data are digested, and digests with them."""
    monkeypatch.setattr(user_code, "_FILES", set())
    monkeypatch.setattr(loop, "digests", loop.digests)  # to be put back
    path = tmp_path / "patching.py"
    path.write_text(
        "from spaces import Study\nfrom trainers.config import Config\nimport trainers.loop\n"
        'trainers.loop.digests = lambda config: {"data_digest": "0" * 16}\n'
        'STUDY = Study("s", Config(dataset="ring8", backbone="mlp"), rows={"a": {}})\n'
    )
    return path


@pytest.mark.process
def test_checks_are_made_where_no_file_of_the_users_was_run(file):
    config = Config(dataset="ring8", backbone="mlp")
    there = dry_run(config)
    (cell,) = find_study(str(file)).cells()
    assert cell.config == config
    assert dry_run(config) != there  # here it is patched
    with apart.beside("trainers.loop:dry_runs", [config]) as found:
        assert found() == {config.cell_key: there}


@pytest.mark.process
def test_what_a_check_refuses_is_refused_here_in_its_words():
    with pytest.raises(ValueError, match="should read field=value"):
        apart.apart("spaces.find:parse_settings", ["lr"])
    assert apart.apart("spaces.find:parse_settings", ["lr=0.1"]) == {"lr": 0.1}


@pytest.mark.process
def test_a_check_whose_process_dies_is_a_sentence():
    with pytest.raises(ValueError, match=r"ended the process that checks it \(exit status 7\)"):
        apart.apart("os:_exit", 7)


@pytest.mark.process
def test_a_process_whose_answer_is_not_waited_for_ends(file, monkeypatch):
    monkeypatch.setattr(user_code, "_FILES", {str(file)})
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), apart.beside("time:sleep", 600):
        raise KeyboardInterrupt
    assert time.monotonic() - started < 60


def test_without_such_files_no_process_is_started(monkeypatch):
    monkeypatch.setattr(user_code, "_FILES", set())
    monkeypatch.setattr(apart, "_asked", lambda *_: pytest.fail("a process"))
    assert apart.unpatched("trainers.messages:clock", 61.0) == "1:01"
    with apart.beside("trainers.messages:clock", 61.0) as found:
        assert found() == "1:01"
