"""What varies: recipes (named Configs), search spaces, studies (ablation tables to be)."""

from spaces.recipes import RECIPES
from spaces.spaces import SPACES
from spaces.studies import STUDIES
from spaces.study import Cell, Study

__all__ = ["RECIPES", "SPACES", "STUDIES", "Cell", "Study"]
