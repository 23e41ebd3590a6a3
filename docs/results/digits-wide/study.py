"""What was claimed of `digits-wide` before its runs: `ganablate claims docs/results/digits-wide/study.py --register`."""

from spaces import STUDIES
from spaces.claims import Claim, contrasts

STUDY = STUDIES["digits-wide"]

claims = [Claim("I1", "FID: aw < GAN", "this table", contrasts("digits-wide", "+ aw-loss", "GAN"))]
