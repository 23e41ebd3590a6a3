"""How metrics of other code are spelled, and the studies of its runs."""

import pytest

from spaces.foreign import ForeignStudy, better_than_first, parse_metric
from trainers.names import Metric


@pytest.mark.parametrize(
    ("text", "key", "lower", "scale"),
    [
        ("eval/fid", "eval/fid", True, "difference"),
        ("eval/fid:lower:ratio", "eval/fid", True, "ratio"),
        ("acc:higher", "acc", False, "difference"),
        ("fid:ratio", "fid", True, "ratio"),
        ("val:fid:higher:difference", "val:fid", False, "difference"),
    ],
)
def test_a_metric_is_read(text, key, lower, scale):
    metric = parse_metric(text)
    assert (metric.key, metric.label, metric.lower_is_better, metric.scale) == (key, key, lower, scale)


@pytest.mark.parametrize("text", ["", ":lower", " :ratio", "seed", "lost:higher"])
def test_what_is_no_metric_is_refused(text):
    with pytest.raises(ValueError, match="--metric"):
        parse_metric(text)


def study_of(metric, **fields):
    measured = {metric.key: metric}
    return ForeignStudy("bench", rows={"a": {}, "b": {}}, metrics=(metric.key,), measured=measured, **fields)


@pytest.mark.parametrize(
    ("metric", "claimed"),
    [
        (Metric("m", "final", "m", True, 2, "ratio"), (0.0, 1.0)),
        (Metric("m", "final", "m", False, 2, "ratio"), (1.0, float("inf"))),
        (Metric("m", "final", "m", True, 2), (-float("inf"), 0.0)),
        (Metric("m", "final", "m", False, 2), (0.0, float("inf"))),
    ],
)
def test_better_is_by_the_metric(metric, claimed):
    (claim,) = better_than_first(study_of(metric)).values()
    (part,) = claim.parts
    assert (part.treatment, part.control, part.claimed, part.kind) == (
        (("b", ""),),
        (("a", ""),),
        claimed,
        metric.scale,
    )


def test_nothing_of_it_can_be_trained_or_varied():
    study = study_of(Metric("m", "final", "m", True, 2), seeds=4)
    assert study.cells() == []
    assert study.places == [("a", ""), ("b", "")]
    assert study.variant(seeds=4) == study
    for changed in ({"seeds": 3}, {"budget": 0.5}, {"tiny": True}, {"settings": {"loss": "hinge"}}):
        with pytest.raises(ValueError, match="made elsewhere"):
            study.variant(**changed)
    with pytest.raises(ValueError, match="no metric 'fid_final'"):
        study.variant(metrics=("fid_final",))
