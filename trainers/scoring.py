"""Scores the generators that a run keeps, without training: with its seed's latents, its threads and its arithmetic, so
that the numbers are those which training by that protocol would have given."""

import time
from pathlib import Path

import torch

from trainers.config import Config
from trainers.data.load import load_dataset
from trainers.data.sources import without_labels
from trainers.features import load_features
from trainers.gpu import arithmetic, chosen_device
from trainers.metrics.evaluate import evaluate
from trainers.networks.layers import Generator
from trainers.run_folder import generator_path, locked, read_form, read_provenance, read_run
from trainers.score_request import ScoreRequest, StoredScore, Which, read_scores, write_scores
from trainers.state import build_networks
from trainers.user_code import describe


def load_generator(run_dir: Path, which: Which = "final") -> Generator:
    """The generator that a run keeps, on the CPU and in training mode: call `eval()` on it before it makes images.

    `which` is "final", of the last evaluation, or "best", of the lowest FID (energy distance of 2-D points) among all
    evaluations; the running average of the weights where the Config has one, as evaluations take it. What it returns
    maps `generator(source, labels)` to examples [n, *shape], float32: images [n, channels, height, width], whose range
    [-1, 1] stands for pixels 0 to 255 (StyleGAN2's go a little beyond it), or points [n, 2] in the units of the data.
    `source` is what `generator.sample_source(n, rng)` draws on the device of the torch.Generator `rng`: z [n, latent],
    behind it the noise of StyleGAN2's layers, [n, latent + noise]; of a pair, images of domain A of the shape above.
    `labels` [n], int64 from 0 to n_classes - 1, act in a conditional run and are ignored in others.

    It is built without the data set, unless an earlier version made the run or the backbone translates, as `cut` does.
    Raises ValueError if the folder holds no run that can be read, does not keep that generator (which was removed, or
    the run is not done), or its file is not that of this run's networks; OSError if a file cannot be read.
    """
    config, _ = read_run(run_dir)
    config, path = config.acting(), generator_path(run_dir, which)
    generator, _ = build_networks(config, *(read_form(run_dir) or load_dataset(config).form))
    try:
        generator.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise ValueError(f"{run_dir} keeps no {path.name}: its generator was removed, or the run is not done") from None
    except OSError:
        raise
    except Exception as error:  # whatever another version, or another program, may have put there
        raise ValueError(f"{path} holds no generator of this run ({describe(error)})") from None
    return generator


def score(config: Config, run_dir: Path, request: ScoreRequest) -> list[StoredScore]:
    """Score a kept generator of the run of this Config by what scores.jsonl lacks of a request, and write it there;
    returns the new ones, none if all are there. Raises ValueError for a folder that holds no such run or does not keep
    the generator, data that are not those of the run, or scores that do not fit them."""
    made, _ = read_run(run_dir)
    made = made.with_data(config.data_digest) if made.is_at_path and config.is_at_path else made
    if (made.cell_key, made.seed) != (config.cell_key, config.seed):
        raise ValueError(f"{run_dir} holds a run of another config")
    config, asked = config.acting(), request.config(config.acting())
    weights = load_features(request.features).digest
    protocols = request.protocols(config, weights)
    with locked(run_dir):
        held, started = read_scores(run_dir), time.perf_counter()
        known = {each.identity for each in held}
        lacking = [key for key in request.scores if (key, request.which, request.features, protocols[key]) not in known]
        if not lacking:
            return []
        values = _values(config, asked, run_dir, request.which, lacking)
        seconds = time.perf_counter() - started
        new = [
            StoredScore(
                metric=key,
                which=request.which,
                features=request.features,
                protocol=protocols[key],
                weights=weights,
                value=values[key],
                seconds=seconds,
                logged_at=time.time(),
            )
            for key in lacking
        ]
        write_scores(run_dir, [*held, *new])
    return new


def _values(config: Config, asked: Config, run_dir: Path, which: Which, keys: list[str]) -> dict[str, float]:
    torch.set_num_threads(config.threads)
    data, began = load_dataset(config), read_provenance(run_dir).get("data_digest", "")
    if began and data.digest not in (began, without_labels(began)):
        raise ValueError(
            f"data_digest is {data.digest}, but {run_dir} was trained on {began}: the data changed; restore them"
        )
    device, generator = chosen_device(), load_generator(run_dir, which)
    generator.to(device)
    generator.to(memory_format=torch.channels_last if config.channels_last else torch.preserve_format)
    with arithmetic(device, tf32=False, deterministic=config.deterministic):
        return evaluate(asked, data, generator, device, keys)
