"""What is exported gives training's images where there is no ganablate."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from forked import Forked

from trainers import exporting
from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.exporting import PROGRAM, WEIGHTS, export_generator
from trainers.metrics.evaluate import generate
from trainers.names import BACKBONES
from trainers.scoring import load_generator
from trainers.streams import stream

HOME = Path(__file__).parent.parent.parent
SIZES = (1, 5)  # batches; the program is made of another one

ELSEWHERE = """
import importlib, pathlib, re, sys
import torch

packages = {"ganablate", "trainers", "spaces", "search", "reports"}
sys.path[:] = [path for path in sys.path if not pathlib.Path(path or ".", "trainers").exists()]
assert packages.isdisjoint(sys.modules)
for name in packages:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(name)
for folder in map(pathlib.Path, sys.argv[1:]):
    program = torch.export.load(folder / "generator.pt2").module()
    with torch.no_grad():
        off = [float((program(*inputs) - images).abs().max()) for inputs, images in torch.load(folder / "expected.pt")]
    (block,) = re.findall(r"```python\\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    shown = {}
    exec(block.replace("generator.pt2", str(folder / "generator.pt2")), shown)
    print(folder.name, max(off), *shown["images"].shape)
"""


def of(name, **fields):
    """A narrow Config of a backbone, with classes where it takes them."""
    row = BACKBONES[name]
    data = "digits_outlines" if row.translates else "ring8" if row.points else "digits"
    usual = {"conditional": row.conditional, "spectral_norm": "both", "backbone_options": dict(row.narrow)}
    return Config(dataset=data, backbone=name, **{**usual, **fields})


def expected(config, folder):
    """The inputs of an evaluation's first samples, and the images that it scores, for batches of each size."""
    data, generator = load_dataset(config), load_generator(folder).eval()
    found = []
    for n in SIZES:
        labels = torch.arange(n) % data.n_classes
        (images,) = generate(config, data, generator, torch.device("cpu"), n, labels)
        if data.pair is None:
            source = generator.sample_source(n, stream(config.seed, "evaluation"))
        else:
            source = data.pair.test_sources.scaled(torch.arange(n))
        found.append(((source, labels) if config.conditional else (source,), images))
    return found


def exported(config, kept_run, folder):
    """An export of a run, with what it should give beside it."""
    run = kept_run(config)
    files = export_generator(run, folder, "# A card")
    assert files == ["README.md", "config.json", "data.json", PROGRAM, WEIGHTS]
    torch.save(expected(config, run), folder / "expected.pt")
    return run


def give_trainings_images(folders):
    done = Forked(ELSEWHERE, *folders, cwd=folders[0])
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == [folder.name for folder in folders]
    for name, off, *shape in lines:
        assert float(off) <= 1e-5, name
        held = json.loads(next(folder for folder in folders if folder.name == name).joinpath("data.json").read_bytes())
        assert list(map(int, shape)) == [16, *held["shape"]]


FEW = ["mlp", "cut"]  # the others take half a minute


@pytest.mark.process
@pytest.mark.parametrize(
    "names", [FEW, pytest.param([name for name in BACKBONES if name not in FEW], marks=pytest.mark.slow)]
)
def test_every_backbone_gives_trainings_images_without_ganablate(kept_run, tmp_path, names):
    """Conditional where it can be, and with spectral norm, whose weights the program has divided."""
    folders = [tmp_path / name for name in names]
    for folder in folders:
        exported(of(folder.name), kept_run, folder)
        with zipfile.ZipFile(folder / PROGRAM) as archive:  # which nobody's paths are in
            assert not any(str(HOME).encode() in archive.read(name) for name in archive.namelist())
    give_trainings_images(folders)


@pytest.mark.slow
def test_so_do_other_forms_of_them(kept_run, tmp_path):
    """Without classes and spectral norm, with attention and a shared embedding, and on a pair that trained."""
    configs = {name: of(name, conditional=False, spectral_norm="off") for name in ("sngan", "biggan", "stylegan2")}
    narrow = {**BACKBONES["biggan"].narrow, "shared_dim": 8, "hierarchical": True, "attention": 8}
    configs["attention"] = of("biggan", backbone_options=narrow)
    configs["quiet"] = of("stylegan2", backbone_options={**BACKBONES["stylegan2"].narrow, "noise": False})
    configs["nce"] = of("cut", nce_weight=1.0, nce_layers=(0, 4, 8))
    folders = [tmp_path / name for name in configs]
    for folder in folders:
        exported(configs[folder.name], kept_run, folder)
    give_trainings_images(folders)


@pytest.fixture(scope="module")
def one(tmp_path_factory, trained):
    """A trained run with an average, and its export; the card is the caller's."""
    config = Config(
        backbone_options={"width": 4, "latent": 8}, batch_size=16, n_images=96, eval_every=48, eval_samples=200,
        ema_halflife=8.0, spectral_norm="both",
    )  # fmt: skip
    out = tmp_path_factory.mktemp("exports") / "one"
    run = trained(config)
    export_generator(run, out, "# The caller's card", "best")
    return config, run, out


@pytest.mark.long
def test_the_files_hold_what_training_kept(one):
    from safetensors.torch import load_file

    config, run, out = one
    weights, kept = load_file(out / WEIGHTS), torch.load(run / "generator_best.pt")
    assert weights.keys() == kept.keys()
    assert all(torch.equal(weights[name], kept[name]) for name in kept)
    assert Config(**json.loads((out / "config.json").read_bytes())) == config
    assert json.loads((out / "data.json").read_bytes()) == {"shape": [1, 16, 16], "n_classes": 10}
    program, (inputs, images) = torch.export.load(out / PROGRAM).module(), expected_best(config, run)
    assert torch.allclose(program(*inputs), images, atol=1e-5, rtol=0)


def expected_best(config, run):
    generator = load_generator(run, "best").eval()
    source = generator.sample_source(7, stream(config.seed, "evaluation"))
    with torch.no_grad():
        return (source,), generator(source, torch.zeros(7, dtype=torch.int64))


@pytest.mark.long
def test_the_card_goes_on_with_how_to_load_it(one):
    text = (one[2] / "README.md").read_text()
    assert text.startswith("# The caller's card\n## How to load it\n")
    assert "source = torch.randn([16, 8])" in text
    assert "- `source`: z ~ N(0, 1), float32 [n, 8] for any n from 1." in text
    assert "float32 [n, 1, 16, 16], images whose range [-1, 1] stands for pixels 0 to 255" in text
    assert "labels" not in text  # the run is not conditional


@pytest.mark.long
def test_a_program_that_gives_other_images_is_refused(one, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"what was written differs from the generator by .*, more than -1"):
        export_generator(one[1], tmp_path / "out", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize(("change", "told"), [("len(source)", "cannot be exported"), ("1", "")])
def test_networks_of_a_users_own(kept_run, user_module, tmp_path, change, told):
    """What holds for one number of samples alone is refused, and leaves nothing behind."""
    name = user_module(
        "from torch import nn\nfrom trainers.networks.layers import Generator\n"
        "class Mine(Generator):\n"
        "    def __init__(self, shape):\n        super().__init__(4)\n"
        "        self.layers = nn.Sequential(nn.Linear(4, 256), nn.Tanh(), nn.Unflatten(1, shape))\n"
        f"    def forward(self, source, labels=None):\n        return self.layers(source) * {change}\n"
        "def build(config, shape, n_classes):\n    return Mine(shape), nn.Linear(1, 1)\n"
    )
    run, out = kept_run(Config(backbone=f"{name}:build")), tmp_path / "out"
    if not told:
        assert PROGRAM in export_generator(run, out, "")
        return
    with pytest.raises(ValueError, match=told) as error:
        export_generator(run, out, "")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("out*"))


def test_what_is_there_stays(tmp_path, kept_run, tiny_images):
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="out is there already"):
        export_generator(kept_run(tiny_images), tmp_path / "out", "")
    assert not list((tmp_path / "out").iterdir())
