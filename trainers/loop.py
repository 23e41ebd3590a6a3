"""The training loop: steps until the budget is spent, evaluations on the way, a checkpoint before each."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers.adversarial import adversarial_step
from trainers.checkpoint import drop_checkpoints, load_checkpoint, save_checkpoint
from trainers.config import Config
from trainers.coopinit import cooperative_step
from trainers.data.dataset import Dataset
from trainers.data.load import load_dataset
from trainers.features import load_features
from trainers.files import save_tensors
from trainers.gpu import arithmetic, chosen_device, made_with, synchronize
from trainers.heartbeat import heartbeat
from trainers.metrics.evaluate import compute, evaluate, generate
from trainers.names import BACKBONES, FEATURES
from trainers.regularizers import check_own
from trainers.run_folder import (
    generator_path,
    locked,
    open_run,
    read_evaluations,
    record_form,
    record_provenance,
    write_evaluations,
)  # fmt: skip
from trainers.run_state import RunState
from trainers.state import State
from trainers.user_code import describe, guard_user_code, own_code_digest, user_modules

logger = logging.getLogger(__name__)

WANDERED = 10.0  # standard deviations of the data that Langevin chains cover in a run that diverged
UNTRAINED = 0.1  # share of the untrained generator in the average, above which a user is told
WATCH_EVERY = 32  # steps between two looks at whether the run diverged, each of which waits for the device
GRID_COLUMNS = 8  # of a grid of samples, which has as many rows unless it has one for each class
GRID_ROWS = 10  # classes that a grid shows, the first ones
CLOUD = 10_000  # samples of a picture of points


def train(config: Config, run_dir: Path | str, *, stop: Callable[[], bool] = lambda: False) -> Iterator[dict[str, Any]]:
    """Train a Config in its run folder; yield its evaluations, at 0, eval_every, ..., n_images images.

    One holds images, seconds (of training so far), eval_seconds, logged_at (Unix time), state ("running", then "done"
    or "diverged"), the scores (NaN in a diverged run), and running means of the steps' statistics. It is on disk, with
    a checkpoint, before it is yielded; those of an earlier process are yielded again first, and training goes on from
    there, bit-identical on the same machine but for the time fields; on a GPU if `deterministic`. Fields that do not
    act rest (`Config.acting`), for code of the user's own too. Once `stop()`, which is asked before each step, is true,
    a checkpoint is written and no more evaluations come. Uses CUDA where there is a device.
    Raises ValueError if the parts of the config do not fit, or the folder holds a run of another.
    """
    folder = Path(run_dir)
    found = digests(config)
    config = config.acting().with_data(found["data_digest"])
    torch.set_num_threads(config.threads)
    device = chosen_device()
    with locked(folder):
        open_run(config, folder)
        state = State(config, device)
        record_provenance(folder, found, made_with(device))
        record_form(folder, *state.data.form)
        evaluations = _restore(state, folder)
        yield from evaluations
        while not evaluations or evaluations[-1]["state"] == RunState.RUNNING:
            started = time.perf_counter()
            last = evaluations[-1]["images"] if evaluations else -config.eval_every
            images = min((last // config.eval_every + 1) * config.eval_every, config.n_images)
            with arithmetic(device, tf32=config.precision == "tf32", deterministic=config.deterministic):
                reached = _train_until(state, images, stop)
            synchronize(device)
            state.seconds += time.perf_counter() - started
            if state.compilation:
                state.compilation.tell()
            if not reached:
                save_checkpoint(folder, {**state.state_dict(), "rows": evaluations})
                return
            with arithmetic(device, tf32=False, deterministic=config.deterministic):
                evaluations.append(_evaluate(state, folder, evaluations))
            yield evaluations[-1]


def dry_runs(configs: Iterable[Config]) -> dict[str, dict[str, str]]:
    """The digests of each Config by its cell_key. Raises ValueError as dry_run, which is made once of Configs that
    differ only in rates, weights and the like, unless code of the user's own may look at these."""
    found: dict[str, dict[str, str]] = {}
    made: dict[str, dict[str, str]] = {}
    for config in configs:
        fields = config.acting().model_dump(mode="json", exclude={"seed"})
        alike = {name: value != 0 if isinstance(value, float) else value for name, value in fields.items()}
        shape = json.dumps(fields if user_modules(config) else alike)
        made[shape] = found[config.cell_key] = made.get(shape) or dry_run(config)
    return found


@torch.no_grad()
def dry_run(config: Config) -> dict[str, str]:
    """The digests of a Config's data and feature weights. Raises ValueError if its parts do not fit together, which may
    show only once networks and feature net have seen two examples, and if code of the user's own raises."""
    config = config.acting()
    _doubt_average(config)
    net = load_features(config.feature_net)  # first, since the rest may take long
    state = State(config, torch.device("cpu"))
    shape, labels = state.data.shape, torch.zeros(2, dtype=torch.int64)
    with guard_user_code("backbone", config.backbone, BACKBONES):
        inputs = state.generator_input("check", 2)
        samples = state.generate("check", labels)
        logits = state.critic("check", labels)(state.data.scaled(labels))
    if state.data.pair is not None and inputs.shape != (2, *shape):
        raise ValueError(
            f"backbone {config.backbone!r}: {config.dataset} is a pair, so two of its sources should be of the "
            f"shape {(2, *shape)} of images of domain A, not {tuple(inputs.shape)}"
        )
    if samples.shape != (2, *shape):
        raise ValueError(
            f"backbone {config.backbone!r}: two samples of its generator should have the shape {(2, *shape)} of two "
            f"examples of {config.dataset}, not {tuple(samples.shape)}"
        )
    if logits.dim() == 0 or len(logits) != 2:
        raise ValueError(
            f"backbone {config.backbone!r}: its discriminator's logits of two examples should have 2 as their first "
            f"dimension, not the shape {tuple(logits.shape)}"
        )
    check_own(state, state.data.scaled(labels), labels)
    with guard_user_code("features", config.feature_net, FEATURES):
        net.extract(samples)
    return digests(config)


def _doubt_average(config: Config) -> None:
    """Warn if the average that is to be scored would still be the untrained generator in good part."""
    if config.ema_halflife and not config.ema_ramp:
        untrained = 0.5 ** (max(0, config.n_images - config.ema_start) / config.ema_halflife)
        if untrained > UNTRAINED:
            logger.warning(
                f"ema_halflife = {config.ema_halflife:g} is long beside n_images = {config.n_images}: {untrained:.0%} "
                f"of the average that is scored is the untrained generator; ema_ramp = 0.05 would shorten it"
            )


def digests(config: Config) -> dict[str, str]:
    """The digests of a Config's data and feature weights, and of the user's own code in it, by the names of PROVENANCE.
    Raises ValueError if one of them cannot be read."""
    found = {"data_digest": load_dataset(config).digest, "features_digest": load_features(config.feature_net).digest}
    return {**found, "own_code_digest": own} if (own := own_code_digest(config.acting())) else found


def _evaluate(state: State, folder: Path, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Score the run as it stands, write evaluation and checkpoint; returns the evaluation."""
    config = state.config
    started = time.perf_counter()
    metrics: dict[str, float] = {}
    if state.diverged_at < 0 and state.has_finite_parameters() and not wanders(state, evaluations):
        metrics = evaluate(config, state.data, state.evaluated_generator, state.device)
        metrics |= compute((score for score in config.scores.values() if score.takes == "state"), state)
        save_samples(state, folder / "samples" / f"{state.images:012d}.png")
    diverged = not metrics or not all(map(math.isfinite, metrics.values()))
    run_state = RunState.DONE if state.images >= config.n_images else RunState.RUNNING
    evaluation = {
        "images": int(state.diverged_at) if state.diverged_at >= 0 else state.images,
        "state": (RunState.DIVERGED if diverged else run_state).value,  # a plain text, as files keep it
        # a scheduler needs the keys of a diverged evaluation too
        **(dict.fromkeys(config.evaluation_keys, math.nan) if diverged else metrics),
        **state.statistics.means(),
        **state.probed.means(),  # over the whole run, where both have one
        "seconds": state.seconds,
        "eval_seconds": (evaluations[-1]["eval_seconds"] if evaluations else 0.0) + time.perf_counter() - started,
        "logged_at": time.time(),
    }
    _save(state, folder, [*evaluations, evaluation])
    return evaluation


def wanders(state: State, evaluations: list[dict[str, Any]]) -> bool:
    """Whether D moves G's samples far out of the data, now and at the evaluation before: no chain comes back then."""
    reached = [each.get("langevin_distance", 0.0) for each in (*evaluations[-1:], state.statistics.means())]
    return len(reached) == 2 and min(reached) > WANDERED * state.data.std


def _train_until(state: State, images: int, stop: Callable[[], bool]) -> bool:
    """Steps until so many images were shown or the run diverged; False if stopped before."""
    config = state.config
    while state.images < images:
        if stop():
            return False
        heartbeat()
        shown = state.images
        state.set_learning_rates()
        stage = config.stage_at(shown)
        if stage == "switch" and config.coop_optimizer == "fresh":
            state.fresh_optimizers()
        statistics = cooperative_step(state) if stage == "cooperative" else adversarial_step(state)
        state.steps += 1
        state.update_average(state.images - shown)
        state.watch(statistics)
        if state.steps % WATCH_EVERY == 0 and state.diverged_at >= 0:
            break
    return True


def _save(state: State, folder: Path, evaluations: list[dict[str, Any]]) -> None:
    """Write the checkpoint, then the evaluations; an ended run keeps only its generators. The checkpoint holds the
    evaluations too: it decides which count, and a crash between the two files repeats none."""
    evaluation, key = evaluations[-1], state.config.metric
    best = min((each[key] for each in evaluations if math.isfinite(each[key])), default=None)
    weights = state.evaluated_generator.state_dict()
    weights.update({name: tensor.cpu() for name, tensor in weights.items()})  # they are loaded where there is no GPU
    if evaluation[key] == best:
        save_tensors(generator_path(folder, "best"), weights)
    if evaluation["state"] == RunState.RUNNING:
        save_checkpoint(folder, {**state.state_dict(), "rows": evaluations})
        write_evaluations(folder, evaluations)
        return
    if evaluation["state"] == RunState.DONE:
        save_tensors(generator_path(folder, "final"), weights)
    write_evaluations(folder, evaluations)
    drop_checkpoints(folder)


def _restore(state: State, folder: Path) -> list[dict[str, Any]]:
    """The evaluations so far, with the state of the latest whole checkpoint, unless the run has ended. If checkpoints
    are lost, training repeats up to the last evaluation without evaluating again; the numbers are the same."""
    evaluations = read_evaluations(folder)
    if evaluations and evaluations[-1]["state"] != RunState.RUNNING:
        drop_checkpoints(folder)
        return evaluations
    try:
        if saved := load_checkpoint(folder, state.device):
            state.load_state_dict(saved)
    except OSError:
        raise
    except Exception as error:  # whatever another version, or another program, may have put there
        raise ValueError(
            f"the checkpoint in {folder} is that of another version of ganablate, or of other networks "
            f"({describe(error)}); remove its checkpoint files, and training starts again below the rows that it has"
        ) from None
    if saved and len(saved["rows"]) > len(evaluations):  # the process died between the two files
        evaluations = saved["rows"]
        write_evaluations(folder, evaluations)
    return evaluations


def save_samples(state: State, path: Path) -> None:
    """Picture of samples from fixed latents: a grid of images, with one class a row in a conditional run and the source
    to the left of each translation, or a density of 2-D points over the real modes."""
    from torchvision.utils import save_image  # a second and more, which no check of a Config needs

    config, data = state.config, state.data
    if data.modes is not None:
        points = torch.cat(list(generate(config, data, state.evaluated_generator, state.device, CLOUD))).cpu()
        save_image(picture_of_points(points, data), path)
        return
    labels = (
        torch.arange(min(data.n_classes, GRID_ROWS)).repeat_interleave(GRID_COLUMNS) if config.conditional else None
    )
    n = GRID_COLUMNS**2 if labels is None else len(labels)
    if data.pair is not None:  # each translation stands beside its source
        n //= 2
    samples = torch.cat(list(generate(config, data, state.evaluated_generator, state.device, n, labels))).cpu()
    if data.pair is not None:
        sources = data.pair.test_sources
        samples = torch.stack([sources.scaled(torch.arange(n) % len(sources.examples)), samples], 1).flatten(0, 1)
    save_image(samples, path, nrow=GRID_COLUMNS, padding=2, pad_value=0.5, normalize=True, value_range=(-1, 1))


def picture_of_points(points: Tensor, data: Dataset, side: int = 96) -> Tensor:
    """RGB picture [3, 3 * side, 3 * side] of points [N, 2]: dark blue where they are dense, real modes in orange."""
    assert data.modes is not None
    extent = 1.4 * float(data.modes.abs().max())
    bins = [torch.linspace(-extent, extent, side + 1)] * 2

    def density(x: Tensor) -> Tensor:  # [side, side] in 0..1, row 0 on top
        counts = torch.histogramdd(x.float(), bins).hist.T.flip(0)
        return (counts / counts.max().clamp_min(1)).sqrt()

    fake, real = density(points), density(data.examples[:CLOUD])
    light = torch.ones(3, side, side) - real * torch.tensor([0.0, 0.35, 0.8])[:, None, None]
    mixed = light * (1 - fake) + fake * torch.tensor([0.05, 0.15, 0.5])[:, None, None]
    return mixed.repeat_interleave(3, 1).repeat_interleave(3, 2)
