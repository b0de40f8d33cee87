"""Recipes: one frozen dataclass a stage, every default once. TOML in, JSON out."""

import dataclasses
import hashlib
import json
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsipipe.errors import RecipeError, UsageError

Triple = tuple[float, float, float]

LEAST_SEPARATION = 0.1
"""Sine of the smallest angle between two given stain vectors, about 6 degrees."""


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _vector(*default: float) -> Any:
    return field(default=default, metadata={"vector": True})


def _choice(default: str, *others: str) -> Any:
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class WorkingConfig:
    """Resolution at which nuclei are found."""

    mpp: float = _number(0.5, 0.1, 2.0)
    """Microns per pixel of the working grid."""
    max_unreadable: float = _number(0.25, 0.0, 1.0)
    """A slide of whose tissue more than this share cannot be read fails; up to it, the rest is kept and flagged."""


@dataclass(frozen=True)
class TilingConfig:
    """How the work is cut up. Changes speed and memory, never a result."""

    tile_px: int = _number(1024, 128, 1 << 20)
    """Side of a tile's core on the working grid, pixels."""


@dataclass(frozen=True)
class TissueConfig:
    """Where tissue is searched and what counts as tissue."""

    mpp: float = _number(8.0, 1.0, 64.0)
    """Microns per pixel of the overview that the tissue mask is made from."""
    min_od: float = _number(0.035, 0.0, 1.0)
    """Lowest mean optical density above the glass that can be tissue; noisy or dirty glass raises the threshold."""
    min_area_um2: float = _number(10_000.0, 0.0, 1e9)
    """Smaller pieces are dirt; on images smaller than 5 mm2 the limit is 0.2 % of the image."""
    max_hole_um2: float = _number(50_000.0, 0.0, 1e9)
    """Smaller holes in tissue are tissue; on images smaller than 1 mm2 the limit is 5 % of the image."""
    margin_um: float = _number(12.0, 0.0, 1000.0)
    """Tissue is widened by this, at least by one pixel, so that nuclei at its edge are inside."""
    min_ink_um2: float = _number(50_000.0, 0.0, 1e9)
    """Smaller places of the colour of ink are taken for tissue."""


@dataclass(frozen=True)
class QualityConfig:
    """What of the tissue is not fit to be analysed. It is always found and counted; the switches leave it out."""

    leave_out_blurred: bool = True
    """Leave out what is out of focus."""
    leave_out_pen: bool = True
    """Leave out what ink covers."""
    leave_out_folds: bool = True
    """Leave out where the tissue lies double."""
    least_detail: float = _number(0.06, 0.0, 1.0)
    """In focus, detail over 1 um has at least this share of the energy of detail over 3 um."""
    least_coarse_detail: float = _number(0.125, 0.0, 1.0)
    """The same of detail over 3 um against 8 um, which tells strong defocus where noise hides the former."""
    fold_density: float = _number(1.45, 1.0, 10.0)
    """Both stains of a fold are this many times as dense as they are in half of the tissue, or more."""
    fold_step: float = _number(1.3, 1.0, 10.0)
    """And this many times as dense as just beside it."""
    least_fold_um2: float = _number(2500.0, 0.0, 1e9)
    """Smaller dense places are taken for tissue."""
    flag_share: float = _number(0.1, 0.0, 1.0)
    """A slide of whose tissue more than this share is found unfit is flagged."""


@dataclass(frozen=True)
class StainConfig:
    """Stain normalization and deconvolution."""

    method: str = _choice("macenko", "vahadane", "given", "reinhard", "none")
    """Normalization towards the packaged reference stain; vectors are Macenko's with the last two."""
    stain_1: tuple[float, float, float] = _vector(0.65, 0.70, 0.29)
    """Optical density in red, green and blue of the nuclear stain, for method "given" only; of any length."""
    stain_2: tuple[float, float, float] = _vector(0.07, 0.99, 0.11)
    """The same of the other stain, which the `e_od` columns are then of. Both defaults are Ruifrok's H&E."""
    sample_blocks: int = _number(64, 1, 4096)
    """Blocks of 256 x 256 working pixels, spread evenly over the tissue, that the profile is fitted on."""
    min_od: float = _number(0.15, 0.0, 1.0)
    """Pixels with less optical density, averaged over the channels, are glass and do not enter a fit (beta)."""
    angle_percentile: float = _number(1.0, 0.0, 49.0)
    """Macenko's alpha: percentile of the angles that become the stain vectors."""
    sparsity: float = _number(0.1, 0.0, 10.0)
    """Vahadane's lambda: weight of the sum of the concentrations."""


@dataclass(frozen=True)
class NucleiConfig:
    """Seek, choose and clean nuclei among the threshold components of the haematoxylin image."""

    threshold_scale: float = _number(1.0, 0.1, 10.0)
    """Factor on the slide's own haematoxylin threshold (Otsu's, on sampled tissue)."""
    reference_share: float = _number(0.45, 0.0, 1.0)
    """Haematoxylin is unmixed with the reference vectors to this share, else with the slide's own."""
    smooth_um: float = _number(0.3, 0.0, 5.0)
    """Gaussian sigma applied to the haematoxylin image before components are made of it."""
    sharpen: float = _number(0.6, 0.0, 5.0)
    """How much of the difference from the surroundings' mean is added."""
    sharpen_um: float = _number(3.0, 0.1, 20.0)
    """Spread of these surroundings (standard deviation of a square)."""
    open_um: float = _number(1.0, 0.0, 5.0)
    """Radius of an opening that offers further components, cut off at thin necks."""
    edge_um: float = _number(0.15, 0.0, 5.0)
    """Gaussian sigma applied to the haematoxylin image before contrast across outlines is measured."""
    reach_um: float = _number(0.5, 0.0, 5.0)
    """Contrast is measured between pixels this far inside and outside the outline."""
    lowest_threshold: float = _number(0.58, 0.02, 4.0)
    """Lowest threshold that outlines are sought at, as a share of the slide's own."""
    half_drop: float = _number(0.3, 0.001, 10.0)
    """Contrast across an outline that earns half of the greatest contrast score, as a share of the threshold."""
    shape_weight: float = _number(1.15, 0.0, 100.0)
    """Loss of score for the square root of the share of its ellipse that an object leaves empty."""
    size_weight: float = _number(0.15, 0.0, 10.0)
    """Loss of score for the squared logarithm of an object's area over the typical one."""
    typical_area_um2: float = _number(48.0, 1.0, 1000.0)
    """Area with no such loss."""
    least_quality: float = _number(-0.06, -10.0, 1.0)
    """Contrast less the losses above that an object must exceed to be a nucleus."""
    area_power: float = _number(0.45, 0.0, 2.0)
    """An object's quality counts times its area to this power when it competes with objects inside it."""
    max_hole_um2: float = _number(12.0, 0.0, 1000.0)
    """Smaller holes are filled."""
    min_area_um2: float = _number(7.5, 0.0, 1000.0)
    """Smaller objects are dropped."""
    max_area_um2: float = _number(350.0, 1.0, 10_000.0)
    """Larger objects are not nuclei; dark ones that hold no nucleus are counted."""
    max_extent_um: float = _number(25.0, 5.0, 100.0)
    """Objects whose bounding box is longer are not nuclei either; the halo is made from this."""


@dataclass(frozen=True)
class PatchConfig:
    """Patch around one nucleus, the networks' input."""

    size_px: int = _number(32, 8, 256)
    """Side of a patch, pixels."""
    mpp: float = _number(0.5, 0.1, 2.0)
    """Microns per patch pixel."""
    surroundings: bool = True
    """Keep what lies around the nucleus; false puts the nucleus on white and scales larger ones down (the paper)."""


@dataclass(frozen=True)
class GanConfig:
    """Networks and training: WGAN-GP with an InfoGAN head (Hu et al., JBHI 2019)."""

    classes: int = _number(5, 2, 64)
    """Number of cell classes k."""
    noise_dim: int = _number(32, 1, 1024)
    """Length of z ~ N(0, I)."""
    channels: int = _number(128, 4, 512)
    """Channels of every block."""
    batch: int = _number(10, 2, 4096)
    """Cells a step."""
    steps: int = _number(10_000, 1, 10_000_000)
    """Generator steps."""
    critic_steps: int = _number(5, 1, 100)
    """Critic steps per generator step."""
    learning_rate: float = _number(1e-4, 1e-7, 1.0)
    """Adam's, for D and G."""
    info_learning_rate: float = _number(1e-4, 1e-7, 1.0)
    """Adam's, for Q's step (over G, trunk and Q head)."""
    anneal: bool = False
    """Learning rates fall linearly to zero over the training."""
    beta1: float = _number(0.5, 0.0, 0.999)
    """Adam's."""
    beta2: float = _number(0.9, 0.0, 0.9999)
    """Adam's."""
    lambda_gradient: float = _number(10.0, 0.0, 1000.0)
    """Weight of the gradient penalty."""
    lambda_info: float = _number(1.0, 0.0, 1000.0)
    """Weight of the mutual-information bound."""
    lambda_real: float = _number(0.0, 0.0, 1000.0)
    """Weight of the mutual information between Q's answers to two views of one real cell; 0 is the paper."""
    spread: float = _number(1.0, 1.0, 10.0)
    """In that term, weight of the entropies that spread the classes: 1 is mutual information, more empties fewer."""
    real_batch: int = _number(64, 2, 65_536)
    """Real cells in each step of that term, which needs more of them than the others to see how classes spread."""
    info_steps: int = _number(1, 1, 100)
    """Steps of Q per generator step; all but the first see real cells only."""
    standardize: bool = False
    """Scale initial weights on real cells, and train Q on standardized features (folded away at the end)."""
    augment: str = _choice("flips", "dihedral")
    """Random transforms of real cells: the paper's flips, or flips and quarter turns with stain jitter."""
    pooling: str = _choice("mean", "centre")
    """Features of the trunk's map: its mean (the paper), or that and its mean around the centre, where the cell is."""
    lambda_measure: float = _number(0.0, 0.0, 1000.0)
    """Weight of the trunk's error in telling a real cell's description; 0 is the paper."""
    lambda_teach: float = _number(0.0, 0.0, 1000.0)
    """Weight of Q's error in telling from patches the classes that a mixture on descriptions gives; 0 is the paper."""
    coherence: float = _number(0.0, 0.0, 10.0)
    """In that mixture, power of a cell's neighbours in its prior; 0 looks at each cell alone."""
    describe: bool = False
    """Q also weighs a description of the cell: measurements, contrast, neighbours. False is the paper, patches only."""
    learned_prior: bool = False
    """G draws classes as often as Q finds them in real cells; false draws all alike, as the paper does."""
    average: float = _number(0.0, 0.0, 0.99999)
    """Decay per step of the running average of the weights, which the finished model holds; 0 holds the last ones."""
    checks: int = _number(0, 0, 1000)
    """The finished model is the best of this many moments, by the share of cells kept aside on whose class patch and
    description agree, no label seen; 0 keeps the last."""
    class_scale: float = _number(1.0, 0.01, 100.0)
    """Factor on the initial weights of G's class inputs; they are k numbers beside `noise_dim` of noise."""
    start: str = _choice("random", "default")
    """Weights that G starts from: random ones, or those of the model that ships with the package."""
    restarts: int = _number(1, 1, 100)
    """Trainings from this many seeds; the one whose classes part the descriptions best is kept, no label seen."""
    max_cells: int = _number(50_000, 10, 100_000_000)
    """Cells drawn for training, evenly from all slides."""


@dataclass(frozen=True)
class ProportionsConfig:
    """From labels to one row per slide."""

    min_cells: int = _number(100, 0, 1_000_000)
    """Slides with fewer cells are flagged `few_cells`."""
    intervals: bool = False
    """Give the 95 % interval of each proportion too (bootstrap over blocks): the `lo_` and `hi_` columns."""


@dataclass(frozen=True)
class Recipe:
    """All stage parameters of a run."""

    name: str = "default"
    working: WorkingConfig = WorkingConfig()
    tiling: TilingConfig = TilingConfig()
    tissue: TissueConfig = TissueConfig()
    quality: QualityConfig = QualityConfig()
    stain: StainConfig = StainConfig()
    nuclei: NucleiConfig = NucleiConfig()
    patches: PatchConfig = PatchConfig()
    gan: GanConfig = GanConfig()
    proportions: ProportionsConfig = ProportionsConfig()

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, as `parse_recipe` takes them."""
        # lists, as JSON and TOML give them back
        return dataclasses.asdict(self, dict_factory=lambda items: {k: _listed(v) for k, v in items})

    def segment_dict(self) -> dict[str, Any]:
        """What the cell store depends on: everything up to the patches but the tiling, which changes no result."""
        whole = self.to_dict()
        return {stage: whole[stage] for stage in ("working", "tissue", "quality", "stain", "nuclei", "patches")}


@dataclass(frozen=True)
class Settings:
    """What the user asked for besides the recipe; the options that mean the same in every command."""

    out: Path
    recipe: Recipe = Recipe()
    mpp: float | None = None
    """True microns per pixel of level 0, over the metadata."""
    mpp_source: str = "--mpp"
    """Where `mpp` comes from: "--mpp" or "cohort table"."""
    regions: Path | None = None
    """GeoJSON with the polygons to stay inside of."""
    nuclei: Path | None = None
    """File of nuclei to use instead of segmenting, or a folder with one for each slide."""
    model: str | None = None
    """Name or file of a trained model."""
    classes: int | None = None
    """Number of classes asked for besides the recipe, which has it too; a model that is there must have as many."""
    train: bool = False
    """Fit one model on all the given slides' cells first."""
    device: str = "auto"
    """"auto", "cpu" or "cuda"."""
    workers: int | None = None
    """Threads for tiles and labels; all usable CPUs when None."""
    scheduler: str | None = None
    """Address of a Dask scheduler."""
    seed: int = 0
    overwrite: bool = False
    debug: bool = False
    """Let unexpected errors through, with their traceback."""


def parse_recipe(data: dict[str, Any], source: str = "recipe") -> Recipe:
    """Build a recipe from nested plain values.

    Raises
    ------
    RecipeError
        Listing every unknown key, wrong type and value out of range at once.
    """
    faults: list[str] = []
    recipe = typing.cast("Recipe", _parse(Recipe, data, "", faults))
    if _sine(recipe.stain.stain_1, recipe.stain.stain_2) < LEAST_SEPARATION:
        faults.append("stain.stain_1 and stain.stain_2 are the same stain")
    if faults:
        raise RecipeError("; ".join(faults), "correct the recipe", source)
    return recipe


def load_recipe(name_or_file: str) -> Recipe:
    """Load a packed recipe by name, or a TOML file by path.

    Raises
    ------
    UsageError
        If there is no such recipe or file, or it is not TOML.
    RecipeError
        If its contents are not a recipe.
    """
    packed = packed_recipes()
    path = packed.get(name_or_file, Path(name_or_file))
    if not path.is_file():
        raise UsageError(
            f"no recipe of that name or path; packed ones: {', '.join(sorted(packed))}",
            "name one of them or a .toml file",
            f"--recipe {name_or_file}",
        )
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a TOML file ({error})", "correct the file", str(path)) from error
    return parse_recipe({"name": path.stem, **data}, path.name)


def packed_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with the package."""
    package = Path(__file__).parent
    folder = package / "pipelines"
    if not folder.is_dir():  # a source checkout keeps them beside the package
        folder = package.parent / "pipelines"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def config_hash(values: dict[str, Any]) -> str:
    """16 hex digits that name these plain values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """Sentences naming each value that differs between two nested dicts of plain values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{where}{key}.")
        elif a != b:
            found.append(f"{where}{key} was {a}, is {b}")
    return found


def _parse(cls: type, data: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(data, dict):
        faults.append(f"{where.rstrip('.') or 'recipe'} must be a table, not {data!r}")
        return cls()
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    faults += [f"unknown key {where}{key}" for key in data if key not in fields]
    values: dict[str, Any] = {}
    for name, f in fields.items():
        if name not in data:
            continue
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _parse(typing.cast("type", hints[name]), data[name], f"{where}{name}.", faults)
        elif "vector" in f.metadata:
            values[name] = _parse_vector(data[name], typing.cast("Triple", f.default), f"{where}{name}", faults)
        else:
            _check(data[name], hints[name], f.metadata, f"{where}{name}", faults)
            values[name] = float(data[name]) if hints[name] is float and _is_number(data[name]) else data[name]
    return cls(**values)


def _parse_vector(value: Any, default: Triple, where: str, faults: list[str]) -> Triple:
    fits = isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))
    if fits and min(value) >= 0.0 and 0.01 <= max(value) <= 10.0:
        return (float(value[0]), float(value[1]), float(value[2]))
    faults.append(f"{where} must be three numbers from 0 to 10, one of them at least 0.01, not {value!r}")
    return default


def _sine(a: Triple, b: Triple) -> float:
    across = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return math.hypot(*across) / (math.hypot(*a) * math.hypot(*b))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check(value: Any, hint: type, limits: types.MappingProxyType[Any, Any], where: str, faults: list[str]) -> None:
    fits = _is_number(value) if hint is float else type(value) is hint
    if not fits:
        faults.append(f"{where} must be {hint.__name__}, not {value!r}")
    elif "choices" in limits and value not in limits["choices"]:
        faults.append(f"{where} must be one of {', '.join(limits['choices'])}, not {value!r}")
    elif "low" in limits and not limits["low"] <= value <= limits["high"]:
        faults.append(f"{where} must be between {limits['low']:g} and {limits['high']:g}, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
