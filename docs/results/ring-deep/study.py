"""What was claimed of `ring-deep` before its runs: `ganablate claims docs/results/ring-deep/study.py --register`."""

from spaces import STUDIES
from spaces.claims import MORE, Claim, contrasts, covers

STUDY = STUDIES["ring-deep"]
QUALITY = {"claimed": MORE, "metric": "high_quality_final", "kind": "difference"}
PLACE = "this table"

claims = [
    Claim("D1", "P(8 of 8 modes): CoopInit > GAN", PLACE, covers("ring-deep", "+ CoopInit", "GAN")),
    Claim("D2", "high-quality share: CoopInit > GAN", PLACE, contrasts("ring-deep", "+ CoopInit", "GAN", **QUALITY)),
    Claim("D3", "P(8 of 8 modes): aw > GAN", PLACE, covers("ring-deep", "+ aw-loss", "GAN")),
    Claim("D4", "high-quality share: aw > GAN", PLACE, contrasts("ring-deep", "+ aw-loss", "GAN", **QUALITY)),
]
