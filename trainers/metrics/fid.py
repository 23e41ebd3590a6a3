"""FID: the Frechet distance of generated to real features."""

from trainers.metrics.frechet import frechet_distance
from trainers.metrics.sampled import Sampled


def fid(sampled: Sampled) -> dict[str, float]:
    """Heusel et al. 2017, on whatever feature net there is."""
    real, fake = sampled.real, sampled.moments
    return {"fid": frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance, root1=real.root)}
