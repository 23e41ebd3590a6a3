"""A metric of the generators that runs keep: the contrast of their samples, as a ratio to that of the data.

ganablate run quick --tiny --seeds 1
ganablate score quick --tiny --seeds 1 --features raw --metrics fid,metric_contrast:contrast
ganablate report quick --tiny --seeds 1 --metrics fid_final,metric_contrast:contrast@raw
"""

from trainers.metrics.sampled import Sampled
from trainers.names import Score

contrast = Score("contrast", lower_is_better=False, decimals=3, compute="metric_contrast:measured", takes="samples")


def measured(sampled: Sampled) -> dict[str, float]:
    return {"contrast": float(sampled.samples.std()) / sampled.data.std}
