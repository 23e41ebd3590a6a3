"""Inception score."""

from trainers.metrics.sampled import Sampled
from trainers.names import SCORE_SPLITS


def inception_score(sampled: Sampled) -> dict[str, float]:
    """Of generated features (Salimans et al. 2016), with the standard deviation over its parts; by torch-fidelity."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    assert sampled.net.logits is not None
    score = isc_features_to_metric(sampled.net.logits(sampled.features), splits=SCORE_SPLITS)
    return {
        "inception_score": score["inception_score_mean"],
        "inception_score_std": score["inception_score_std"],
    }
