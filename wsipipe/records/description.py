"""The names of what describes a cell beside its patch."""

_NUCLEUS = (
    "log_area_um2", "log_perimeter_um", "eccentricity", "solidity", "h_od_mean", "h_od_std", "e_od_mean", "e_od_std",
)  # fmt: skip
_CONTRAST = tuple(f"{where}_{colour}_od_std" for where in ("centre", "around") for colour in ("red", "green", "blue"))
SPREAD = ("log_area_um2", "eccentricity", "h_od_mean", "e_od_mean")
"""Of what the neighbours' spread is told: size, elongation and stains. Unlike nuclei side by side are pleomorphism."""
DESCRIPTION = (
    *_NUCLEUS, *_CONTRAST, "log_light", *(f"beside_{name}" for name in (*_NUCLEUS, "log_light")),
    *(f"beside_{name}_std" for name in SPREAD),
)  # fmt: skip
"""What a cell is described by, beside its patch: its nucleus, contrast and light around it, its neighbours' mean and
spread."""
VIEWS = (
    slice(0, len(_NUCLEUS)),
    slice(len(_NUCLEUS), len(_NUCLEUS) + len(_CONTRAST) + 1),
    slice(len(_NUCLEUS) + len(_CONTRAST) + 1, len(DESCRIPTION)),
)
"""Columns of the nucleus, of the patch around it, and of its neighbours: each can tell a cell's kind by itself."""

_BESIDE, _STD = "beside_", "_std"
_WORDS = {
    "log_area_um2": "area (log um2)",
    "log_perimeter_um": "perimeter (log um)",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "h_od_mean": "haematoxylin OD",
    "h_od_std": "unevenness of haematoxylin",
    "e_od_mean": "eosin OD",
    "e_od_std": "unevenness of eosin",
    "log_light": "light (log)",
}


def words_for(column: str) -> str:
    """A column of DESCRIPTION as people read it.

    Raises
    ------
    KeyError
        It is none.
    """
    if column.startswith(_BESIDE):
        of = column.removeprefix(_BESIDE)
        return f"neighbours' {_WORDS[of]}" if of in _WORDS else f"spread of neighbours' {_WORDS[of.removesuffix(_STD)]}"
    if column in _CONTRAST:
        where, colour = column.split("_")[:2]
        return f"contrast in {colour}, {where}"
    return _WORDS[column]
