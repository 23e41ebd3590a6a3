"""CoopInit: Zhao, Xie, Li, AAAI 2023, arXiv 2303.11649."""

from spaces.paper import Paper, read_published
from spaces.papers.coopinit.claims import CLAIMS
from spaces.papers.coopinit.studies import STUDIES

PAPER = Paper(
    name="coopinit",
    year=2023,
    studies=STUDIES,
    claims=CLAIMS,
    published=read_published(__name__),
    metrics={"fid": "fid_best", "is": "is_best"},  # the best of all evaluations (section 5.2)
    features="inception",
    samples=50_000,
    datasets={"folder:ffhq": "ffhq{resolution}", "folder:imagenet": "imagenet{resolution}"},
)
