"""KID: the squared kernel distance of generated to real features."""

from trainers.metrics.sampled import Sampled
from trainers.names import KID_SUBSET, KID_SUBSETS


def kid(sampled: Sampled) -> dict[str, float]:
    """Binkowski et al. 2018, with the standard deviation over its subsets; by torch-fidelity. Subsets have KID_SUBSET
    features, or as many as the smaller side."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    fake, real = sampled.features, sampled.real.features
    assert real is not None
    size = min(KID_SUBSET, len(fake), len(real))
    score = kid_features_to_metric(fake, real, kid_subsets=KID_SUBSETS, kid_subset_size=size, verbose=False)
    return {"kid": score["kernel_inception_distance_mean"], "kid_std": score["kernel_inception_distance_std"]}
