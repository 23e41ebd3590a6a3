"""What varies: recipes (named Configs), search spaces, studies (ablation tables to be)."""

from spaces.claims import Claim, Part
from spaces.find import find_claims, find_recipe, find_space, find_study, parse_settings
from spaces.paper import Paper, Published
from spaces.papers import CLAIMS, PAPERS, published
from spaces.recipes import RECIPES
from spaces.search import Search
from spaces.search_spaces import SPACES
from spaces.studies import STUDIES
from spaces.study import Cell, Study

__all__ = [
    "CLAIMS",
    "PAPERS",
    "RECIPES",
    "SPACES",
    "STUDIES",
    "Cell",
    "Claim",
    "Paper",
    "Part",
    "Published",
    "Search",
    "Study",
    "find_claims",
    "find_recipe",
    "find_space",
    "find_study",
    "parse_settings",
    "published",
]
