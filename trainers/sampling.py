"""Samples of a kept generator as pictures: from which latents and labels, or from which images to translate.

The i-th sample of a sample seed starts from a latent of its own, whatever else is asked for, on a CPU and on a GPU; the
latents are none of those that evaluations take.
"""

import io
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from trainers.config import Config
from trainers.data.dataset import scale
from trainers.data.image_files import plain_images
from trainers.data.load import load_dataset
from trainers.data.pixels import pixels_of
from trainers.files import new_folder, write_atomically
from trainers.gpu import arithmetic, chosen_device
from trainers.loop import CLOUD, GRID_COLUMNS, GRID_ROWS, picture_of_points
from trainers.messages import printable
from trainers.metrics import BATCH
from trainers.metrics.evaluate import PIXELS
from trainers.names import BACKBONES
from trainers.networks.layers import Generator
from trainers.run_folder import read_form, read_run
from trainers.score_request import Which
from trainers.scoring import load_generator
from trainers.streams import stream
from trainers.user_code import describe

PARALLEL = 1e-3  # sine of the angle between two latents, below which the way between them is straight


class SampleRequest(NamedTuple):
    """What is asked of a generator: so many samples, by default a grid of 8x8, 8 of each of the first 10 classes or of
    those in `labels`, 10,000 points, or all images to be translated if `each`, else 32. `seed` is that of the latents.
    `interpolate` makes each row of a grid a walk from one latent to another. `source` is a folder of images to
    translate, by default test A of the pair. `each`: a file each in place of a grid."""

    n: int | None = None
    seed: int = 0
    labels: tuple[int, ...] = ()
    interpolate: bool = False
    source: Path | None = None
    each: bool = False


class Inputs(NamedTuple):
    """What n samples start from: the names of their files, and sources [k, ...] and labels [k] of some of them."""

    names: list[str]
    take: Callable[[range], tuple[Tensor, Tensor]]


def sample(run_dir: Path, out: Path, asked: SampleRequest, which: Which = "final") -> int:
    """Write samples of the generator that a run keeps, and return how many.

    `out` becomes one picture (.png): a grid of 8 columns with one class or walk a row, or each translation to the right
    of its source, or a density of 2-D points over the real modes. If `each`, it becomes a new folder with a .png each,
    in folders by class where the run is conditional, and under the names of their sources where it translates. Images
    are drawn from [-1, 1], which stands for pixels 0 to 255. Raises ValueError, and writes nothing, for what the run
    does not make, an `out` that is there or no .png, and images that cannot be read; else as load_generator.
    """
    config = read_run(run_dir)[0].acting()
    shape, n_classes = read_form(run_dir) or load_dataset(config).form
    _check(config, shape, n_classes, asked, out)
    generator = load_generator(run_dir, which).eval()
    if translates(config):
        inputs = _translations(config, shape, asked)
    else:
        inputs = _from_noise(generator, config, shape, n_classes, asked)
    made = _made(generator, inputs, shape)
    if asked.each:
        with new_folder(out) as aside:
            for names, _, images in made:
                for name, image in zip(names, images, strict=True):
                    (aside / name).parent.mkdir(parents=True, exist_ok=True)
                    _picture(image).save(aside / name)
        return len(inputs.names)
    parts = list(made)
    images = torch.cat([images for *_, images in parts])
    if len(shape) == 1:
        picture = picture_of_points(images, load_dataset(config))
        write_picture(out, Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy()))
    else:
        sources = torch.cat([source for _, source, _ in parts]) if translates(config) else None
        write_picture(out, grid(images if sources is None else torch.stack([sources, images], 1).flatten(0, 1)))
    return len(images)


def latents(generator: Generator, seed: int, indices: range) -> Tensor:
    """The inputs [k, ...] of some samples of a sample seed, on the CPU, each from a random stream of its own."""
    return torch.cat([generator.sample_source(1, stream(seed, "samples", index)) for index in indices])


def walks(generator: Generator, seed: int, n: int) -> Tensor:
    """n inputs [n, ...]: from each even latent of a sample seed to the odd one behind it in 8 steps. Only z moves: the
    noise of StyleGAN2's layers stays that of the first."""
    ends = latents(generator, seed, range(2 * n // GRID_COLUMNS)).flatten(1)
    moving = getattr(generator, "latent", ends.shape[1])
    z = between(ends[::2, :moving], ends[1::2, :moving], GRID_COLUMNS)
    rest = ends[::2, None, moving:].expand(-1, GRID_COLUMNS, -1)
    like = generator.sample_source(1, stream(seed, "samples"))
    return torch.cat([z, rest], dim=2).flatten(0, 1).unflatten(1, like.shape[1:])


def between(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """[N, steps, d] from first [N, d] to last [N, d] on arcs: halfway on a straight line, the length of a Gaussian
    latent would be one that training hardly sees (White 2016, "Sampling Generative Networks")."""
    a, b = first[:, None], last[:, None]
    t = torch.linspace(0, 1, steps)[:, None]
    angle = cosine_similarity(a, b, dim=2).clamp(-1, 1).acos()[..., None]
    on_arc = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return torch.where(angle.sin() > PARALLEL, on_arc, a.lerp(b, t))


def translates(config: Config) -> bool:
    """Whether the generator of a run starts from images; of a user's own backbone that is told by its data."""
    row = BACKBONES.get(config.backbone)
    return row.translates if row else config.is_paired


def _check(config: Config, shape: tuple[int, ...], n_classes: int, asked: SampleRequest, out: Path) -> None:
    """Raise ValueError for what a run does not make, or files that cannot be made so."""
    is_image = len(shape) == 3 and shape[0] in (1, 3)
    if not (is_image or config.has_points) or (asked.each and not is_image):
        raise ValueError(f"samples of {config.dataset} are no images but of shape {shape}: {out} cannot show them")
    if asked.n is not None and asked.n < 1:
        raise ValueError(f"n = {asked.n} should be 1 or more")
    if asked.labels and not config.conditional:
        raise ValueError(f"labels = {_listed(asked.labels)}: the run is not conditional, so it knows no classes")
    for label in asked.labels:
        if not 0 <= label < n_classes:
            raise ValueError(f"labels = {label}: {config.dataset} has the classes 0 to {n_classes - 1}")
    if asked.source and not translates(config):
        raise ValueError(f"source = {asked.source}: {config.backbone} makes samples from noise and translates nothing")
    if asked.interpolate and (translates(config) or not is_image):
        raise ValueError("interpolate needs a generator that makes images from noise")
    if asked.interpolate and (asked.n or GRID_COLUMNS) % GRID_COLUMNS:
        raise ValueError(f"n = {asked.n} should be a multiple of {GRID_COLUMNS}, the steps of a walk, to interpolate")
    if not asked.each and out.suffix.lower() != ".png":
        raise ValueError(f"out = {out} should end in .png, or be a folder for a file each, with --each")
    if not asked.each and out.is_dir():
        raise ValueError(f"out = {out} is a folder")


def _listed(labels: tuple[int, ...]) -> str:
    return ",".join(map(str, labels))


def _from_noise(
    generator: Generator, config: Config, shape: tuple[int, ...], n_classes: int, asked: SampleRequest
) -> Inputs:
    """Latents, and of a conditional run one class a row, over and over again."""
    rows = asked.labels or tuple(range(min(n_classes, GRID_ROWS))) if config.conditional else (0,)
    usual = CLOUD if len(shape) == 1 else GRID_COLUMNS * (len(rows) if config.conditional else GRID_COLUMNS)
    n = asked.n or usual
    labels = torch.tensor([rows[index // GRID_COLUMNS % len(rows)] for index in range(n)])
    folders = [f"{label}/" if config.conditional else "" for label in labels.tolist()]
    names = [f"{folder}{index:06d}.png" for index, folder in enumerate(folders)]
    walked = walks(generator, asked.seed, n) if asked.interpolate else None

    def take(indices: range) -> tuple[Tensor, Tensor]:
        source = latents(generator, asked.seed, indices) if walked is None else walked[list(indices)]
        return source, labels[list(indices)]

    return Inputs(names, take)


def _translations(config: Config, shape: tuple[int, ...], asked: SampleRequest) -> Inputs:
    """The images of a folder, brought to the size of the run's as its own were, or test A of its pair."""
    usual = None if asked.each else GRID_COLUMNS**2 // 2  # a grid has each with its source
    if asked.source is None:
        pair = load_dataset(config).pair
        assert pair is not None
        indices = range(len(pair.test_sources.examples))[: asked.n or usual]
        names = [f"{index:06d}.png" for index in indices]
        return Inputs(names, lambda some: (pair.test_sources.scaled(torch.tensor(some)), torch.zeros(len(some)).long()))
    files, opened = plain_images(asked.source)
    files = files[: asked.n or usual]
    names = [str(Path(file).with_suffix(".png")) for file in files]
    name, count = Counter(names).most_common(1)[0]
    if count > 1 and asked.each:
        raise ValueError(f"{asked.source}: {count} images would become {printable(name)}; rename them")
    form, mode = config.image_form._replace(resolution=shape[-1]), "L" if shape[0] == 1 else "RGB"

    def pixels(file: str) -> Tensor:
        try:
            with opened(file) as image:
                return torch.tensor(pixels_of(image, mode, form).values)  # a copy: these cannot be written
        except Exception as error:  # Pillow raises anything
            raise ValueError(f"cannot read {asked.source}/{printable(file)}: {printable(describe(error))}") from None

    def take(some: range) -> tuple[Tensor, Tensor]:
        return scale(torch.stack([pixels(files[index]) for index in some])), torch.zeros(len(some)).long()

    return Inputs(names, take)


@torch.no_grad()
def _made(generator: Generator, inputs: Inputs, shape: tuple[int, ...]) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Names, sources and samples, some at a time, on the CPU."""
    device = chosen_device()
    generator.to(device)
    part = max(1, min(BATCH, PIXELS // math.prod(shape[-2:])))
    with arithmetic(device, tf32=False, deterministic=False):
        for start in range(0, len(inputs.names), part):
            indices = range(start, min(start + part, len(inputs.names)))
            source, labels = inputs.take(indices)
            made: Tensor = generator(source.to(device), labels.to(device))
            yield inputs.names[start : indices.stop], source, made.float().cpu()


def _picture(image: Tensor) -> Image.Image:
    """[C, H, W] in [-1, 1] as grey or RGB pixels: the inverse of `scale`."""
    pixels = ((image + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def grid(images: Tensor) -> Image.Image:
    """The images [n, C, H, W] in rows, as training draws them."""
    from torchvision.utils import make_grid  # a second and more

    drawn = make_grid(images, nrow=GRID_COLUMNS, padding=2, pad_value=0.5, normalize=True, value_range=(-1, 1))
    return _picture(drawn * 2 - 1)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG, atomically."""
    content = io.BytesIO()
    picture.save(content, "png")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(content.getbuffer()))
