"""Scores on Inception's features beside the FID: inception score and KID, both by torch-fidelity."""

from trainers.metrics.sampled import Sampled
from trainers.names import KID_SUBSET, KID_SUBSETS, SCORE_SPLITS


def inception_score(sampled: Sampled) -> dict[str, float]:
    """Of generated features (Salimans et al. 2016), with the standard deviation over its parts."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    assert sampled.net.logits is not None
    score = isc_features_to_metric(sampled.net.logits(sampled.features), splits=SCORE_SPLITS)
    return {"inception_score": score["inception_score_mean"], "inception_score_std": score["inception_score_std"]}


def kid(sampled: Sampled) -> dict[str, float]:
    """Squared kernel distance of generated to real features (Binkowski et al. 2018), with the standard deviation over
    its subsets, which have KID_SUBSET features, or as many as the smaller side."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    fake, real = sampled.features, sampled.real.features
    assert real is not None
    size = min(KID_SUBSET, len(fake), len(real))
    score = kid_features_to_metric(fake, real, kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False)
    return {"kid": score["kernel_inception_distance_mean"], "kid_std": score["kernel_inception_distance_std"]}
