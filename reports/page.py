"""A study's report as one page that can be sent: nothing in it is fetched, and every number is that of the CSV."""

import json
import math
import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.ablation import STATISTICS
from reports.claims import NOT_RUN
from reports.folder import FolderResults
from reports.inline import WIDEST_GRID, Picture, cell_curves, inlined
from reports.ledger import Ledger, as_text
from reports.results import Results
from reports.side_by_side import group_name
from reports.spreadsheet import COMPARED, to_csv
from reports.table import TextTable
from spaces import CLAIMS, Claim, Study
from spaces.claims import Label
from trainers.config import Config
from trainers.messages import printable

PAGE, TEMPLATE = "report.html", "page.html"
OF_PICTURES = ("samples.png", "strips.png", "translations.png")  # figures that a folder has, and no table tells
ABREAST = 8  # cells whose settings stand side by side
GRIDS = 3  # of a cell: how its samples come to be
Own = tuple[dict[str, Claim], dict[str, Study]]  # a user's claims, and the studies that they are on


class CellView(NamedTuple):
    """What a cell opens: its numbers by metric, its runs, curves and grids of samples."""

    row: str
    column: str
    told: str
    protocol: str
    names: Sequence[str]
    metrics: Sequence[tuple[str, str, Sequence[tuple[str, Any]]]]
    heads: Sequence[str]
    runs: Sequence[Sequence[tuple[str, Any]]]
    curves: Picture | None
    grids: Sequence[Picture]

    @property
    def label(self) -> str:
        return " / ".join(filter(None, (self.row, self.column)))


def write_page(
    results: Results | Sequence[Results],
    text: TextTable,
    figures: Iterable[Path],
    folder: Path,
    caption: str = "",
    own: Own | None = None,
) -> Path:
    """Write the page into a report's folder, with the figures that are pictures; `caption` heads it, `own` are claims
    of a user's own on the study, with their studies. Of several results, whose studies stand side by side in the
    table, it has cells and settings alone. Returns its path."""
    several = [results] if isinstance(results, Results) else results
    views = [view for each in several for view in _cells(each, text, several)]
    ids = {(view.row, view.column): f"cell-{number}" for number, view in enumerate(views, 1)}
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            title=" and ".join(each.study.title for each in several),
            caption=caption,
            notes=text.caption,
            groups=[(name, len(list(of))) for name, of in groupby(text.columns)] if any(text.columns) else [],
            heads=[head.removeprefix(f"{of}: ") for head, of in zip(text.cells, text.columns, strict=True)],
            rows=_rows(text, ids),
            settings=_settings(several),
            claims=_claims(results, own) if isinstance(results, Results) else None,
            figures=[inlined(path, path.stem) for path in _pictures(results, figures)],
            cells=list(zip(ids.values(), views, strict=True)),
        )
    )
    path = folder / PAGE
    path.write_text(page, encoding="utf-8")
    return path


def _pictures(results: Results | Sequence[Results], figures: Iterable[Path]) -> list[Path]:
    """The figures that are pictures. Without a store there are no samples, but those that a folder has drawn."""
    pictures = [path for path in figures if path.suffix == ".png"]
    if isinstance(results, FolderResults):
        pictures += [path for name in OF_PICTURES if (path := results.folder / name).is_file() and path not in pictures]
    return pictures


def _place(results: Results, column: str, several: Sequence[Results]) -> str:
    """What a column of a study is called in a table."""
    return group_name(results.study.title, column) if len(several) > 1 else column


@cache
def _environment() -> Environment:
    """All that a template prints is text, in one line, unless it says that it is markup."""
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, finalize=_shown, autoescape=True, trim_blocks=True, undefined=StrictUndefined)


def _shown(value: object) -> object:
    """A text whose lines break neither at a plus-minus sign nor before an arrow; markup as it is."""
    if hasattr(value, "__html__"):
        return value
    return re.sub(r" ± | (?=[↓↑]$)", lambda found: found[0].replace(" ", "\u00a0"), printable(value))


def _rows(text: TextTable, ids: dict[Label, str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The table's rows; the first field of each column leads to its cell."""
    firsts = {text.columns.index(column): column for column in dict.fromkeys(text.columns)}
    return [
        (
            row,
            [
                {"text": value, "bold": bold, "cell": ids.get((row, firsts.get(place, "\0")))}
                for place, (value, bold) in enumerate(zip(text.cells.loc[row], text.marks.loc[row], strict=True))
            ],
        )
        for row in text.cells.index
    ]


def _cells(results: Results, text: TextTable, several: Sequence[Results]) -> list[CellView]:
    """Each cell of one of several results that has runs, in the study's order."""
    study, frame = results.study, to_csv(results).set_index(["row", "column"])
    told = _told_of_runs(results)
    shown = [name for name in told if name not in ("row", "column")]
    keys = dict.fromkeys(metric.key for metric in map(study.metric, study.metrics) if not metric.features)
    histories = {key: results.histories(key) for key in keys}
    grids, views = _grids(results), list[CellView]()
    for label, runs in results.cells.items():
        if runs.empty:
            continue
        line, done = frame.loc[label], results.done[label]
        of_cell = {
            key: {seed: series[run_id] for seed, run_id in zip(done["seed"], done["run_id"], strict=True)}
            for key, series in histories.items()
        }
        row, column = label[0], _place(results, label[1], several)
        first = text.cells.columns[text.columns.index(column)]
        names, metrics = _numbers(results, line)
        views.append(
            CellView(
                row=row,
                column=column,
                told=f"{study.metric(study.metrics[0]).label} {text.cells.loc[row, first]}",
                protocol="; ".join(sorted(set(done["protocol"]) - {""})),
                names=names,
                metrics=metrics,
                heads=[study.metric(name).label if name in study.metrics else name.replace("_", " ") for name in shown],
                runs=[list(run.items()) for run in told.loc[runs.index, shown].to_dict("records")],
                curves=cell_curves(of_cell, study),
                grids=grids.get(label, []),
            )
        )
    return views


def _numbers(results: Results, line: pd.Series) -> tuple[list[str], list[tuple[str, str, list[tuple[str, Any]]]]]:
    """What table.csv has of a cell: heads of its numbers, and by metric each with its name there."""
    study, found = results.study, {}
    for metric in study.metrics:
        scale = results.scales[metric]
        compared = "odds" if scale == "event" else scale
        names = {name: name for name in STATISTICS}
        names |= {name.format("effect").removeprefix("effect_"): name.format(compared) for name in COMPARED}
        found[metric] = {head: (name, line.get(f"{metric}_{name}", math.nan)) for head, name in names.items()}
    every = dict.fromkeys(head for values in found.values() for head in values)
    heads = [head for head in every if any(not pd.isna(values[head][1]) for values in found.values())]
    labels = {metric: study.metric(metric).label for metric in found}
    if "effect" in heads:
        labels = {metric: f"{label} ({results.scales[metric]})" for metric, label in labels.items()}
    return heads, [(metric, labels[metric], [values[head] for head in heads]) for metric, values in found.items()]


def _told_of_runs(results: Results) -> pd.DataFrame:
    """What a page tells of each run: what runs.csv has of it, without what is empty of all."""
    runs, metrics = results.runs, list(results.study.metrics)
    wanted = ["seed", "state", "lost", *metrics, "evaluations", "seconds", "run_id", "code_version", "device"]
    told = runs[["row", "column", *(name for name in wanted if name in runs)]]
    told = told.assign(lost=runs["lost"].map({True: "lost", False: ""}))
    return told.loc[
        :, [not (values.isna() | (values == "")).all() or name == "column" for name, values in told.items()]
    ]


def _grids(results: Results) -> dict[Label, list[Picture]]:
    """A few grids of samples of each pictured run, from the first evaluation to the last."""
    end = max((config.n_images for config in results.configs.values()), default=0)
    nearest = [end * i / (GRIDS - 1) for i in range(1, GRIDS - 1)]
    with tempfile.TemporaryDirectory() as folder:
        found = results.pictures(Path(folder), [0, *nearest, math.inf])
        return {
            label: [
                inlined(path, f"seed {_seed(results, label)}, {images:,} {results.study.counted}", WIDEST_GRID)
                for images, path in sorted(grids.items())
            ]
            for label, grids in found.items()
        }


def _seed(results: Results, label: Label) -> int:
    """The seed of a pictured run."""
    done = results.done[label]
    return int(done["seed"][done["run_id"] == results.pictured_runs[label]].iloc[0])


def _settings(several: Sequence[Results]) -> dict[str, Any]:
    """The fields in which cells differ, a line a cell, and those that all share and that are no defaults."""
    told = {
        (row, _place(results, column, several)): _fields(config)
        for results in several
        for (row, column), config in results.configs.items()
    }
    defaults = _fields(Config())
    names = dict.fromkeys(name for fields in told.values() for name in fields)
    differing = [name for name in names if len({fields[name] for fields in told.values()}) > 1]
    first = next(iter(told.values()), {})
    shared = [
        f"{name} {value}"
        for name, value in first.items()
        if name not in differing and value not in (defaults[name], "–")
    ]
    labels = [" / ".join(filter(None, label)) for label in told]
    lines = [
        [label, *(fields[name] for name in differing)] for label, fields in zip(labels, told.values(), strict=True)
    ]
    heads = ["", *differing]
    if len(labels) <= ABREAST:  # fields one below the other
        heads, *lines = map(list, zip(heads, *lines, strict=True))
    return {"heads": heads, "lines": lines if differing else [], "shared": ", ".join(shared)}


def _fields(config: Config) -> dict[str, str]:
    """The fields of a Config as text, of image files their name without the path; a dash where one does not act."""
    switches = config.field_switches()
    told = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in config.model_dump(mode="json").items()
    }
    told |= {name: "–" for name, switch in switches.items() if not switch.acts(config)}
    return {**told, "dataset": config.data_name, "seed": ""}


def _claims(results: Results, own: Own | None) -> dict[str, Any] | None:
    """The verdicts on claims that this study speaks to, judged by these results; None without any."""
    study = results.study
    place = results.folder.parent if isinstance(results, FolderResults) else results.store
    known = own[0] if own else CLAIMS
    wanted = [name for name, claim in known.items() if any(part.study == study.name for part in claim.all_parts)]
    if place is None or not wanted:
        return None

    def vary(other: Study) -> Study:
        seeds = max(other.seeds, study.seeds)
        return other.variant(seeds=seeds, budget=study.budget, settings=study.settings, tiny=study.tiny)

    ledger = Ledger(place, vary, own=own)
    ledger.judges[0].variants[study.name] = results
    verdicts = [verdict for verdict in ledger.verdicts(wanted) if verdict.verdict != NOT_RUN]
    if not verdicts:
        return None
    told = as_text(verdicts)
    lines = [[name, *told.cells.loc[name]] for name in told.cells.index]
    return {"heads": ["", *told.cells], "lines": lines, "caption": told.caption}
