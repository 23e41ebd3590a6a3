"""What was claimed of `ring-paper` before its runs: `ganablate claims docs/results/ring-paper/study.py --register`."""

from spaces import STUDIES
from spaces.claims import HIGHER, MORE, Claim, by_column

STUDY = STUDIES["ring-paper"]
ROWS, RINGS = ("+ aw-loss", "GAN"), ("Unrolled GAN", "aw paper")
LOGIT = {"claimed": MORE, "metric": "class_logit_min_final", "kind": "difference"}
COVERS = {"claimed": HIGHER, "metric": "modes_final", "kind": "share", "reaches": 8}
PLACE = "aw paper, section 5.3"

claims = [
    Claim("P1", "lowest class logit: aw > GAN on both rings", PLACE, by_column("ring-paper", ROWS, RINGS, **LOGIT)),
    Claim("P2", "P(8 of 8 modes): aw > GAN on both rings", PLACE, by_column("ring-paper", ROWS, RINGS, **COVERS)),
]
