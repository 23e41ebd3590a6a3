"""What is told of modules and options without importing anyone's code: never more than training would refuse."""

import sys

import pytest

from spaces import STUDIES
from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.foresight import check_sources
from trainers.names import BACKBONES
from trainers.state import build_networks

MINE = """
raise SystemExit("whoever imports this ends here")
from pathlib import Path as Elsewhere
from other_net import build as theirs

def build(config, shape, n_classes, extra=1, *, width=4, depth):
    inner = 1

def anything(config, shape, n_classes, **options): ...

@wrapped
def decorated(config, shape, n_classes): ...

if True:
    try:
        fast = 1
    except ImportError:
        slow: int = 2
else:
    with a as held:
        b, (c, *d) = 1, (2, 3)
class Net: ...
"""
DYNAMIC = "globals()['build'] = print\n"
LAZY = "def __getattr__(name): ...\n"
STAR = "from other_net import *\n"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules that cannot be imported, in a folder of the module path."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise SystemExit")
    files = {"mine_net": MINE, "package/inner": MINE, "torn_net": "x = (\n", "other_net": "def build(a, b, c): ...\n"}
    files |= {"dynamic_net": DYNAMIC, "lazy_net": LAZY, "star_net": STAR}
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    yield
    assert not set(sys.modules) & {*files, "package", "package.inner"}


def backbone(name, **options):
    check_sources(Config(backbone=name, backbone_options=options))


@pytest.mark.parametrize("module", ["mine_net", "package.inner"])
def test_options_of_a_users_own_backbone(modules, module):
    backbone(f"{module}:build", depth=2)
    backbone(f"{module}:build", depth=2, width=3, extra=0)
    backbone(f"{module}:anything", whatever=3)
    backbone(f"{module}:decorated", whatever=3)
    with pytest.raises(ValueError, match=f"of '{module}:build': unknown field 'widht'; did you mean 'width'.*depth, w"):
        backbone(f"{module}:build", depth=2, widht=3)
    with pytest.raises(ValueError, match=f"backbone_options of '{module}:build': depth is missing"):
        backbone(f"{module}:build")
    with pytest.raises(ValueError, match="unknown field 'width'"):
        backbone(f"{module}:theirs", width=3)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent_net:build", "cannot load 'absent_net:build': ModuleNotFoundError: No module named 'absent_net'"),
        ("package.absent:build", "No module named 'package.absent'"),
        ("mine_net.x:build", "No module named 'mine_net.x'"),
        ("a/b:build", "No module named 'a/b'"),
        (".a:build", "cannot load"),
        ("mine_net:inner", "module 'mine_net' has no attribute 'inner'"),
        ("mine_net:", "has no attribute ''"),
        ("package:absent", "module 'package' has no attribute 'absent'"),
        ("torn_net:build", r"cannot load 'torn_net:build': SyntaxError: .*torn_net.py, line 1"),
        ("mine_net:Net", "'mine_net:Net' should be a function, not a type"),
    ],
)
def test_modules_and_names_that_are_not_there(modules, name, told):
    for field in ("backbone", "dataset", "features"):
        with pytest.raises(ValueError, match=told):
            check_sources(Config(**{"features": "raw", field: name}))


@pytest.mark.parametrize(
    "name",
    ["os:sep", "math:sin", "dynamic_net:build", "lazy_net:build", "star_net:build", "package:inner", "mine_net:slow"]
    + [f"mine_net:{name}" for name in ("fast", "held", "b", "c", "d", "Elsewhere", "theirs")],
)
def test_what_cannot_be_told_is_left_to_run(modules, name):
    check_sources(Config(loss=name))


@pytest.mark.parametrize("name", BACKBONES)
def test_our_backbones_tell_their_options_as_training_does(name):
    paired = "digits_outlines" if BACKBONES[name].translates else "digits"
    config = Config(dataset=paired, backbone=name, backbone_options={"widht": 3})

    class Data:
        shape, n_classes = (1, 8, 8), 10

    said = []
    for check in (check_sources, lambda config: build_networks(config, Data.shape, Data.n_classes)):
        with pytest.raises(ValueError, match="widht") as error:
            check(config)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_our_data_sets_tell_their_options_as_training_does():
    for name, words in {"ring8": "allowed: radius, std", "digits": "allowed: none"}.items():
        config = Config(dataset=name, backbone="mlp", dataset_options={"widht": 3})
        said = []
        for check in (check_sources, load_dataset):
            with pytest.raises(
                ValueError, match=f"dataset_options of '{name}': unknown field 'widht'; {words}"
            ) as error:
                check(config)
            said.append(str(error.value))
        assert said[0] == said[1]


def test_every_study_of_ours_passes():
    for study in STUDIES.values():
        for cell in study.cells():
            check_sources(cell.config.acting())
