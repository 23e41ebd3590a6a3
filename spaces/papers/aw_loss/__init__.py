"""aw-loss: Zadorozhnyy, Cheng, Ye, CVPR 2021, arXiv 2012.03149."""

from spaces.paper import Paper, read_published
from spaces.papers.aw_loss.claims import CLAIMS
from spaces.papers.aw_loss.studies import STUDIES

PAPER = Paper(
    name="aw-loss",
    year=2021,
    studies=STUDIES,
    claims=CLAIMS,
    published=read_published(__name__),
    metrics={
        "fid": "fid_best",  # the best of an evaluation every 5 epochs (section 4)
        "is": "is_best",
        "logit_real_after": "logit_real_after_final",
        "gap_after": "gap_after_final",
    },
    features="inception",
    samples=50_000,
)
