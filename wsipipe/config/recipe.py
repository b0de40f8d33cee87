"""All stage parameters of a run, together."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from wsipipe.config.gan import GanConfig
from wsipipe.config.nuclei import NucleiConfig
from wsipipe.config.patches import PatchConfig
from wsipipe.config.proportions import ProportionsConfig
from wsipipe.config.quality import QualityConfig
from wsipipe.config.stain import StainConfig
from wsipipe.config.tissue import TissueConfig
from wsipipe.config.working import TilingConfig, WorkingConfig


@dataclass(frozen=True)
class Recipe:
    """All stage parameters of a run."""

    name: str = "default"
    working: WorkingConfig = field(default_factory=WorkingConfig)
    tiling: TilingConfig = field(default_factory=TilingConfig)
    tissue: TissueConfig = field(default_factory=TissueConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    stain: StainConfig = field(default_factory=StainConfig)
    nuclei: NucleiConfig = field(default_factory=NucleiConfig)
    patches: PatchConfig = field(default_factory=PatchConfig)
    gan: GanConfig = field(default_factory=GanConfig)
    proportions: ProportionsConfig = field(default_factory=ProportionsConfig)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, as `parse_recipe` takes them."""
        # lists, as JSON and TOML give them back
        return dataclasses.asdict(self, dict_factory=lambda items: {k: _listed(v) for k, v in items})

    def segment_dict(self) -> dict[str, Any]:
        """What the cell store depends on: everything up to the patches but the tiling, which changes no result."""
        whole = self.to_dict()
        return {stage: whole[stage] for stage in ("working", "tissue", "quality", "stain", "nuclei", "patches")}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
