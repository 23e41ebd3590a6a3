"""A kept generator as files that other programs read: weights, a program of torch.export, and how to use them."""

import io
import shutil
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.files import new_folder, write_atomically, write_json
from trainers.networks.layers import Generator
from trainers.run_folder import FORM, read_form, read_run
from trainers.sampling import translates
from trainers.score_request import Which
from trainers.scoring import load_generator
from trainers.streams import stream
from trainers.user_code import describe

TORCH = str(torch.__version__)  # which a program was made with
PROGRAM, WEIGHTS = "generator.pt2", "generator.safetensors"
TOLERANCE = 1e-5  # by which an image of the written program may differ from the generator's
TRACED, CHECKED = 3, 5  # samples of the example that the program is made of, and of its check


class Exported(NamedTuple):
    """A generator, and what goes into it."""

    config: Config
    generator: nn.Module  # in eval mode, with plain weights
    inputs: tuple[Tensor, ...]  # example of its source and, of a conditional run, labels
    shape: tuple[int, ...]  # of one of its samples
    n_classes: int


class Plain(nn.Module):
    """A generator as it is called by who knows nothing of training: source [n, ...] and, if it is conditional, labels
    [n]. Hooks of spectral norm stay out, since its weights are divided once and for all."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        made: Tensor = self.generator.forward(source, labels)
        return made


def export_generator(run_dir: Path, out: Path, card: str, which: Which = "final") -> list[str]:
    """Write the generator that a run keeps into a new folder; returns the names of its files.

    `generator.pt2` is a program of torch.export on the CPU: float32 source [n, ...] and, of a conditional run, int64
    labels [n] -> float32 images [n, C, H, W] in [-1, 1], or points [n, 2], for any n from 1. `generator.safetensors`
    has the weights as training named them, `config.json` and `data.json` what they belong to, and `README.md` the card
    with how to load the program. Once written, the program is loaded and held against the generator on a fresh source.
    Raises ValueError, and leaves nothing behind, if it differs by more than 1e-5, if torch cannot export the networks,
    and if there is something at `out`; else as load_generator.
    """
    held = load_generator(run_dir, which).eval()
    exported = plain_generator(run_dir, which)
    with new_folder(out) as aside:
        _write_weights(aside / WEIGHTS, held)
        content = program_bytes(exported)
        write_atomically(aside / PROGRAM, lambda file: file.write(content))
        _check(aside / PROGRAM, held, exported)
        shutil.copy(run_dir / "config.json", aside / "config.json")
        write_json(aside / FORM, {"shape": exported.shape, "n_classes": exported.n_classes})
        text = f"{card}\n{usage(exported)}"
        write_atomically(aside / "README.md", lambda file: file.write(text.encode()))
        return sorted(path.name for path in aside.iterdir())


def plain_generator(run_dir: Path, which: Which = "final") -> Exported:
    """The generator that a run keeps, with what its weights come to in place of spectral norm and the like, and an
    example of its inputs. Raises ValueError as load_generator."""
    config = read_run(run_dir)[0].acting()
    shape, n_classes = read_form(run_dir) or load_dataset(config).form
    generator = load_generator(run_dir, which).eval()
    for module in list(generator.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    inputs = _inputs(generator, config, n_classes, "export example", TRACED)
    return Exported(config, Plain(generator).eval().requires_grad_(False), inputs, shape, n_classes)


def _inputs(generator: Generator, config: Config, n_classes: int, purpose: str, n: int) -> tuple[Tensor, ...]:
    """A source of n samples and, of a conditional run, labels."""
    source = generator.sample_source(n, stream(config.seed, purpose))
    return (source, torch.arange(n) % n_classes) if config.conditional else (source,)


@torch.no_grad()
def program_bytes(exported: Exported) -> bytes:
    """The program as torch.export saves it, without the paths of source files on this machine. Raises ValueError for
    networks that torch cannot export for any number of samples, as a user's own may be."""
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} for _ in exported.inputs)
    try:
        program = torch.export.export(exported.generator, exported.inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # torch raises anything
        told = describe(error).partition("!")[0][:300]
        raise ValueError(
            f"backbone {exported.config.backbone!r} cannot be exported ({told}); its forward should turn neither the "
            f"number of samples, as by len(x), nor values into numbers of Python"
        ) from None
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue()


def _write_weights(path: Path, generator: nn.Module) -> None:
    safetensors = import_module("safetensors.torch")  # of the extra `all`, which training does without
    weights = {name: tensor.contiguous() for name, tensor in generator.state_dict().items()}
    content = safetensors.save(weights, {"format": "pt"})
    write_atomically(path, lambda file: file.write(content))


@torch.no_grad()
def _check(path: Path, held: Generator, exported: Exported) -> None:
    """Raise ValueError if the written program does not give the generator's images."""
    program = torch.export.load(path).module()
    inputs = _inputs(held, exported.config, exported.n_classes, "export check", CHECKED)
    expected, found = held(inputs[0], inputs[1] if len(inputs) > 1 else torch.zeros(CHECKED).long()), program(*inputs)
    off = float((expected - found).abs().max())
    if not off <= TOLERANCE:
        raise ValueError(
            f"backbone {exported.config.backbone!r} cannot be exported: what was written differs from the generator by "
            f"{off:.2g}, more than {TOLERANCE:g}"
        )


def usage(exported: Exported) -> str:
    """How a program is loaded, as a part of a model card."""
    source, n = exported.inputs[0], 16
    size, made = [n, *source.shape[1:]], [n, *exported.shape]
    is_image = len(exported.shape) == 3
    if translates(exported.config):
        drawn = f"source = torch.rand({size}) * 2 - 1  # in place of images, their pixels over 127.5, minus 1"
    else:
        drawn = f"source = torch.randn({size})"
    conditional = len(exported.inputs) > 1
    lines = ["import torch", "", f'program = torch.export.load("{PROGRAM}").module()', drawn]
    lines += [f"labels = torch.arange({n}) % {exported.n_classes}"] if conditional else []
    arguments = "source, labels" if conditional else "source"
    lines += ["with torch.no_grad():", f"    images = program({arguments})  # {made}"]
    return "\n".join(
        [
            "## How to load it",
            "",
            "In a folder with this one's files, with PyTorch alone:",
            "",
            "```python",
            *lines,
            "```",
            "",
            *_facts(exported, is_image, conditional),
            "",
            f"`{WEIGHTS}` has the weights as ganablate names them, for the networks that `config.json` and `{FORM}` "
            f"stand for. The program was made with torch {TORCH}; torch.export.load runs what a file "
            f"says, so load none from people whom you do not trust.",
            "",
        ]
    )


def _facts(exported: Exported, is_image: bool, conditional: bool) -> list[str]:
    """Shapes, ranges and meaning of inputs and outputs."""
    shape, latent = list(exported.inputs[0].shape[1:]), getattr(exported.generator.generator, "latent", None)
    meaning = f"float32 [n, {', '.join(map(str, shape))}] for any n from 1"
    if translates(exported.config):
        source = f"images of domain A, {meaning}, in [-1, 1]"
    elif latent is not None and latent < shape[0]:
        source = f"{meaning}: {latent} numbers of z, then {shape[0] - latent} of the noise of all layers, all N(0, 1)"
    else:
        source = f"z ~ N(0, 1), {meaning}"
    out = f"float32 [n, {', '.join(map(str, exported.shape))}]"
    range_ = "images whose range [-1, 1] stands for pixels 0 to 255; clamp what lies beyond" if is_image else "points"
    labels = f"- `labels`: int64 [n], classes 0 to {exported.n_classes - 1}."
    return [f"- `source`: {source}.", *([labels] if conditional else []), f"- `images`: {out}, {range_}."]
