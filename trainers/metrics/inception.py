"""Inception score and KID."""

from __future__ import annotations

from torch import Tensor

from trainers.features import FeatureNet
from trainers.names import KID_SUBSET, KID_SUBSETS, SCORE_SPLITS


def inception_metrics(net: FeatureNet, fake: Tensor, real: Tensor) -> dict[str, float]:
    """Inception score of generated features [n, d] (Salimans et al. 2016) and their KID, the squared kernel distance to
    real ones [m, d] (Binkowski et al. 2018), each with the standard deviation over its parts or subsets; by
    torch-fidelity. Subsets have KID_SUBSET features, or as many as the smaller side.
    """
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    assert net.logits is not None
    score = isc_features_to_metric(net.logits(fake), splits=SCORE_SPLITS)
    size = min(KID_SUBSET, len(fake), len(real))
    kid = kid_features_to_metric(fake, real, kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False)
    return {
        "inception_score": score["inception_score_mean"],
        "inception_score_std": score["inception_score_std"],
        "kid": kid["kernel_inception_distance_mean"],
        "kid_std": kid["kernel_inception_distance_std"],
    }
