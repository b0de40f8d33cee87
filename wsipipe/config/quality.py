"""Stage parameters of quality control."""

from dataclasses import dataclass

from wsipipe.config.fields import number


@dataclass(frozen=True)
class QualityConfig:
    """What of the tissue is not fit to be analysed. It is always found and counted; the switches leave it out."""

    leave_out_blurred: bool = True
    """Leave out what is out of focus."""
    leave_out_pen: bool = True
    """Leave out what ink covers."""
    leave_out_folds: bool = True
    """Leave out where the tissue lies double."""
    least_detail: float = number(0.06, 0.0, 1.0)
    """In focus, detail over 1 um has at least this share of the energy of detail over 3 um."""
    least_coarse_detail: float = number(0.125, 0.0, 1.0)
    """The same of detail over 3 um against 8 um, which tells strong defocus where noise hides the former."""
    fold_density: float = number(1.45, 1.0, 10.0)
    """Both stains of a fold are this many times as dense as they are in half of the tissue, or more."""
    fold_step: float = number(1.3, 1.0, 10.0)
    """And this many times as dense as just beside it."""
    least_fold_um2: float = number(2500.0, 0.0, 1e9)
    """Smaller dense places are taken for tissue."""
    flag_share: float = number(0.1, 0.0, 1.0)
    """A slide of whose tissue more than this share is found unfit is flagged."""
