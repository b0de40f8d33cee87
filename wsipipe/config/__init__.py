"""Recipes: one frozen dataclass a stage, every default once. TOML in, JSON out."""

from wsipipe.config.gan import GanConfig
from wsipipe.config.loader import config_hash, differences, load_recipe, packed_recipes, parse_recipe
from wsipipe.config.nuclei import NucleiConfig
from wsipipe.config.patches import PatchConfig
from wsipipe.config.proportions import ProportionsConfig
from wsipipe.config.quality import QualityConfig
from wsipipe.config.recipe import Recipe
from wsipipe.config.settings import Settings
from wsipipe.config.stain import StainConfig
from wsipipe.config.tissue import TissueConfig
from wsipipe.config.working import TilingConfig, WorkingConfig

__all__ = [
    "GanConfig",
    "NucleiConfig",
    "PatchConfig",
    "ProportionsConfig",
    "QualityConfig",
    "Recipe",
    "Settings",
    "StainConfig",
    "TilingConfig",
    "TissueConfig",
    "WorkingConfig",
    "config_hash",
    "differences",
    "load_recipe",
    "packed_recipes",
    "parse_recipe",
]
