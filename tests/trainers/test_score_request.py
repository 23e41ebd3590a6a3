"""What is asked of kept generators, its protocol in words, and what the scores are called."""

import pytest

from trainers.config import Config
from trainers.names import METRICS, SCORES, metric_named, scores_on_request
from trainers.score_request import ScoreRequest, StoredScore, name_pattern, requested, requests_of


def test_metrics_of_kept_generators_have_the_properties_of_their_scores():
    for features in ("digits", "lite0", "inception", "my.net:build"):
        for key, score in scores_on_request(features).items():
            name = score.name or key
            metric, best = metric_named(f"{name}@{features}"), metric_named(f"{name}_best@{features}")
            assert (metric.key, metric.when, metric.features) == (key, "final", features)
            assert (metric.lower_is_better, metric.decimals, metric.scale) == (
                score.lower_is_better,
                score.decimals,
                score.scale,
            )
            assert best == metric._replace(when="best", label=f"{metric.label} of the best generator")
    assert metric_named("fid_best") is METRICS["fid_best"]
    assert not any("@" in name or name.startswith(("precision", "vendi")) for name in METRICS)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fidd_final", "did you mean 'fid_final'"),
        ("fid@lite1", "did you mean 'lite0'"),
        ("fod@lite0", "did you mean 'fid'"),
        ("is@lite0", "score 'is' is unknown"),  # it has no logits
        ("fid_late@lite0", "score 'fid_late' is unknown"),
        ("energy_distance@raw", "unknown"),
    ],
)
def test_a_metric_that_there_is_not_is_a_sentence(name, told):
    with pytest.raises(ValueError, match=told):
        metric_named(name)


def test_every_part_of_a_protocol_shows_in_its_words_and_its_name():
    config = Config(eval_samples=500)
    plain = ScoreRequest("lite0", ("fid", "precision"))

    def name(request, weights="w", key="precision"):
        words = request.protocols(config, weights)[key]
        return StoredScore(
            metric=key, which=request.which, features=request.features, protocol=words, weights=weights, value=1.0,
            seconds=1.0, logged_at=1.0,
        ).name  # fmt: skip

    others = [
        name(plain._replace(samples=400)),
        name(plain._replace(which="best")),
        name(plain, weights="v"),
        name(plain, key="fid"),
        name(plain._replace(features="raw")),
    ]
    assert len({name(plain), *others}) == 6
    assert name(plain._replace(samples=500)) == name(plain)
    assert name_pattern("lite0", "precision", "final").fullmatch(name(plain))
    words = plain.protocols(config, "w")["precision"]
    assert words.startswith(plain.sides(config) + "w; ")
    assert "500 generated samples against all 1,797 training examples of digits" in words
    assert "by 3 nearest neighbours" in words


def test_names_fit_mlflow_whatever_the_net():
    from mlflow.utils.validation import _validate_metric_name

    for features in ("my_nets:build", "ü.net:ö"):
        found = StoredScore(
            metric="kid",
            which="best",
            features=features,
            protocol="p",
            weights="w",
            value=1.0,
            seconds=1.0,
            logged_at=1.0,
        )
        _validate_metric_name(found.name)
        assert name_pattern(features, "kid", "best").fullmatch(found.name)


def test_metrics_of_a_table_become_as_few_requests_as_there_are_generators_and_nets():
    metrics = ("fid_final", "fid@lite0", "precision@lite0", "fid_best@lite0", "recall@digits")
    assert requests_of(metrics, 100) == [
        ScoreRequest("lite0", ("fid", "precision"), "final", 100),
        ScoreRequest("lite0", ("fid",), "best", 100),
        ScoreRequest("digits", ("recall",), "final", 100),
    ]
    assert requests_of(("fid_final", "fid_best")) == []


def test_what_a_user_asks_for():
    assert requested("inception", "is, fid,is", 5_000, "best") == ScoreRequest(
        "inception", ("inception_score", "fid"), "best", 5_000
    )
    every = requested("lite0", None, None, "final").scores
    assert set(every) == {
        key for key, score in SCORES.items() if score.on in ("all", "request") and score.is_of_samples
    } | {"kid"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lite1", None, None, "final"), "features 'lite1' are unknown"),
        (("lite0", "fid,", None, "final"), "score '' is unknown"),
        (("lite0", "is", None, "final"), "score 'is' is unknown on lite0"),
        (("lite0", "fid", None, "last"), "final or best"),
    ],
)
def test_a_wrong_request_is_a_sentence(arguments, told):
    with pytest.raises(ValueError, match=told):
        requested(*arguments)


def test_too_few_samples_are_told():
    for key, few in (("fid", 1), ("coverage", 5)):
        with pytest.raises(ValueError, match=rf"samples = {few} is too few"):
            ScoreRequest("raw", (key,), samples=few).config(Config())


def test_what_scoring_takes_grows_as_its_parts_do():
    """Samples on a net by their number, distances of all pairs by its square; at 50,000 by 2,048 those take minutes."""
    config = Config(dataset="cifar10", resolution=32, features="inception", eval_samples=50_000)

    def seconds(*keys, samples=50_000, features="inception"):
        return ScoreRequest(features, keys, samples=samples).seconds(config)

    nets = seconds(samples=50_000)
    assert seconds(samples=25_000) == nets / 2
    pairs = seconds("precision", "coverage") - nets
    assert 400 < pairs < 1_600
    assert seconds("recall", samples=5_000) - nets / 10 == pytest.approx(pairs / 100)
    assert seconds("fd_infinity") - nets == pytest.approx(15 * (seconds("fid") - nets))
    assert seconds(features="my.net:build") == 0  # nobody knows
