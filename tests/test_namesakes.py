"""A user's own search.py, trainers/ or the like, where Python looks first, is no trouble to any process of ours."""

import sys
from importlib.metadata import packages_distributions

import pytest
from forked import Forked, ganablate

from search.tune.cluster import Cluster
from search.tune.worker import score_run, train_trial
from trainers.namesakes import HOME, PACKAGES, Ours

pytestmark = pytest.mark.process
STUDY = """
from spaces import Study
STUDY = Study("mine", "ring8_gan", rows={"GAN": {}})
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that is first on the path, with a module or a package of each name, which ends what imports it."""
    for name in PACKAGES[:3]:
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__file__} was imported')")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "__init__.py").write_text("raise SystemExit(f'{__file__} was imported')")
    (tmp_path / "study.py").write_text(STUDY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{HOME}")
    return tmp_path


def test_commands_and_processes_that_they_start_find_ours(here):
    code = """
import ganablate, sys
from trainers import apart
print(apart.apart("spaces.find:parse_settings", ["lr=0.1"]))
import reports.table, search.plan
sys.argv = ["ganablate", "plan", "study.py"]
ganablate.main()
"""
    done = Forked(code, cwd=here)
    assert done.wait() == 0, done.stderr
    assert done.stdout.startswith("{'lr': 0.1}\n")
    assert done.stdout.endswith("mine: 3 runs, 3 to run\n")


@pytest.mark.parametrize("function", [train_trial, score_run])
def test_a_worker_finds_ours(here, function, monkeypatch):
    """What Ray sends it names none of our modules that would be imported with the user's folder first on the path."""
    from ray import cloudpickle

    monkeypatch.setattr(sys, "path", [str(here), *sys.path])
    code = """
import pickle, sys
function = pickle.loads(sent)
assert "search" not in sys.modules
try:
    function({})
except KeyError:
    print(sys.modules["search"].__file__)
"""
    for address in (None, "auto"):  # nodes have our code somewhere else on their path
        monkeypatch.chdir(here)
        done = Forked(code, cwd=here, sent=cloudpickle.dumps(Cluster(address=address).sent(function)))
        assert done.wait() == 0, done.stderr
        assert done.stdout == f"{HOME / 'search' / '__init__.py'}\n"


def test_a_users_module_that_cannot_be_found_is_told(here):
    (here / "uses.py").write_text("import search\nsearch.helper()\n")
    told = "search.py has the name of a part of ganablate, which is found in its place: rename it\n"
    for asked in (["uses.py"], ["quick", "--set", "loss=search:helper"], ["quick", "--set", "loss=search.mine:helper"]):
        done = ganablate(here, "plan", *asked)
        assert done.returncode == 2
        assert done.stderr.endswith(told), done.stderr


def test_one_that_was_imported_before_is_told(here):
    (here / "search.py").write_text("")
    done = Forked("import search, ganablate", cwd=here)
    assert done.wait() == 1
    told = f"{here / 'search.py'} has the name of a part of ganablate, and was imported before it: rename it"
    assert done.stderr.splitlines()[-1] == f"ImportError: {told}"


def test_our_packages_are_found_here():
    assert {name: Ours.find_spec(name).origin for name in PACKAGES} == {
        name: str(HOME / name / "__init__.py") for name in PACKAGES
    }
    assert Ours.find_spec("os") is None
    assert packages_distributions()["numpy"] == ["numpy"]  # once


def test_ours_may_lie_in_folders_of_their_own(monkeypatch, tmp_path):
    """As on a node of a cluster, to which the driver sent them, beside a ganablate that is installed there."""
    import ganablate

    monkeypatch.setattr(sys.modules["trainers"], "__file__", str(tmp_path / "trainers" / "__init__.py"))
    ganablate._find_ours()
