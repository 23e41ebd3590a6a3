"""What a paper needs beside the table: sentences on the method to paste, all tests, and every evaluation."""

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from reports.markdown import escape_markdown
from reports.measurements import TIME, keys_of_claims
from reports.results import Results
from reports.statistics import LEVEL
from reports.table import score_protocols
from search.store.registry import Registration
from trainers.messages import counted


def methods(results: Results, registered: Sequence[Registration] = ()) -> str:
    """methods.md, four sentences: seeds and budget; protocol; test, pairing, correction, family; what was lost,
    searched and registered."""
    scored = f"after training, {told}" if (told := score_protocols(results)) else ""
    sentences = [
        results.training,
        f"Scores are {' | '.join([*results.protocols, *filter(None, [scored])])}. {results.made_elsewhere}".strip(),
        _on_tests(results),
        _on_runs(results, registered),
    ]
    return "\n\n".join(map(escape_markdown, sentences)) + "\n"


def _on_tests(results: Results) -> str:
    """How the settings were compared."""
    first, used = results.study.metric(results.study.metrics[0]), {each.method for each in results.comparisons.values()}
    if not used:
        return "No settings were compared."
    names = {
        "paired t": "paired t tests over equal seeds",
        "Welch t": "Welch's t tests",
        "Fisher": "Fisher's exact test",
    }
    tests = " and ".join(name for method, name in names.items() if method in used)
    scale = results.scales[results.study.metrics[0]]
    of = {"ratio": "logarithms", "difference": "values", "event": "counts"}[scale]
    return (
        f"Settings were compared with {', '.join(dict.fromkeys(results.references.values()))} by {tests} (of {of} for "
        f"{first.label}), {results.paired_are}, with intervals at {1 - LEVEL:.0%} for each comparison alone and "
        f"Holm's correction at {LEVEL} over the {counted(results.family, 'comparison')} of {first.label} in the table."
    )


def _on_runs(results: Results, registered: Sequence[Registration]) -> str:
    """What became of the runs, and what was said of them beforehand."""
    lost = sum(cell.lost for cell in results.samples.values())
    ended = sum(len(cell.ended) for cell in results.samples.values())
    searched = (
        "the settings were chosen by a search on other seeds"
        if results.study.searched
        else "no setting of these rows was chosen by a search of this program"
    )
    noted = Counter(f"{each.when} (on {each.date}, for {counted(each.seeds, 'seed')})" for each in registered)
    claims = ", ".join(f"{count if count > 1 else 'one'} {told}" for told, count in noted.items())
    told = f"claims on them were registered, {claims}" if registered else "no claim was registered beforehand"
    return f"Of {ended} runs {lost} were lost ({results.lost_are}) and are counted apart, {searched}, and {told}."


def tests_frame(results: Results) -> pd.DataFrame:
    """tests.csv: a line a comparison, with a hash of the values that it is of."""
    lines = []
    for (row, column, metric), found in results.comparisons.items():
        of_test = {"row": row, "column": column, "metric": metric, "against": found.reference, "test": found.method}
        numbers = {
            name: getattr(found, name) for name in ("effect", "low", "high", "statistic", "freedom", "p", "p_holm")
        }
        others = {name: getattr(found, name) for name in ("pairs", "r", "lost_p", "p_better")}
        lines.append({**of_test, "scale": found.scale, **numbers, **others, "values": found.digest})
    return pd.DataFrame(lines)


def evaluations_frame(results: Results) -> pd.DataFrame:
    """evaluations.csv: a line a run and evaluation with the scores of the study's data, the seconds of training, and
    what else the papers' claims on the study ask for; empty where none are known."""
    keys = dict.fromkeys([*results.evaluation_keys, TIME])
    keys |= dict.fromkeys(keys_of_claims(results.study.name))
    runs = pd.concat([cell.ended for cell in results.samples.values()])
    lines: dict[tuple[str, int], dict[str, float]] = {}
    for key in keys:
        for run_id, series in results.histories(key, dict.fromkeys(runs["run_id"])).items():
            for images, value in series:
                lines.setdefault((run_id, images), {})[key] = value
    values: dict[str, list[tuple[int, dict[str, float]]]] = {}
    for (run_id, images), found in lines.items():
        values.setdefault(run_id, []).append((images, found))
    told = [
        {**run, results.study.counted: images, **{key: found.get(key, math.nan) for key in keys}}
        for run in runs[["row", "column", "seed", "run_id"]].to_dict("records")
        for images, found in sorted(values.get(run["run_id"], []), key=lambda each: each[0])
    ]
    return pd.DataFrame(told)
