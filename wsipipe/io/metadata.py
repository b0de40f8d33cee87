"""Microns per pixel as files state them, and when such a statement is worth nothing."""

import math
import re
from typing import Any

_PHYSICAL_SIZE = re.compile(r"""\bPhysicalSize([XY])(Unit)?\s*=\s*["']([^"']*)["']""")
_OME_SIZE = re.compile(r"""\bSize([CZ])\s*=\s*["'](\d{1,6})["']""")
_OME_SAMPLES = re.compile(r"""\bSamplesPerPixel\s*=\s*["'](\d{1,6})["']""")
_UNIT_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "&#181;m": 1.0, "&#xb5;m": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}
_PRINT_DPI_STEP, _PRINT_DPI_MAX = 100, 9600


def number(value: Any) -> float | None:
    """`value` as a finite float, or None."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def mpp_from_dpi(dpi: float | None) -> float | None:
    """Microns per pixel of `dpi` dots per inch; None for the round numbers that printers and cameras write.

    72, 96 and multiples of 100 up to 9600 are defaults of software and of flatbed scanners, never the calibration of a
    microscope.
    """
    if dpi is None or not math.isfinite(dpi) or dpi <= 0:
        return None
    nearest = round(dpi)
    is_round = nearest in (72, 96) or (nearest % _PRINT_DPI_STEP == 0 and nearest <= _PRINT_DPI_MAX)
    # Files store dots per cm or metre as whole numbers, so 72 dpi comes back as 72.009.
    if is_round and abs(dpi - nearest) <= max(0.02, 1e-4 * dpi):
        return None
    return 25_400.0 / dpi


def mpp_without_print_dpi(mpp: float | None) -> float | None:
    """`mpp` of a file that states dots per inch, or None where those are a printer's or a camera's."""
    return mpp_from_dpi(25_400.0 / mpp) if mpp else None


def mpp_from_ome(description: str | None) -> tuple[float | None, float | None]:
    """PhysicalSizeX and PhysicalSizeY of the first image of an OME-XML text, in microns."""
    values: dict[str, str] = {}
    for axis, unit, text in _PHYSICAL_SIZE.findall(_ome_element(description, "Pixels")):
        values[axis + unit] = text
    return _ome_length(values, "X"), _ome_length(values, "Y")


def mpp_from_imagej(unit: str, pixels_per_unit: float) -> float | None:
    """Microns per pixel of an ImageJ TIFF, as Fiji and QuPath write it too; None where the unit is no length."""
    in_um = _UNIT_UM.get(unit.replace("\\u00B5", "µ").replace("microns", "um").replace("micron", "um"))
    return None if in_um is None or not pixels_per_unit > 0 else in_um / pixels_per_unit


def ome_planes(description: str | None) -> tuple[int, int]:
    """Channels in planes of their own, and focal planes, of the first image of an OME-XML text; 1 each where unsaid.

    The colours of one plane are one channel of three samples.
    """
    sizes = {axis: int(text) for axis, text in _OME_SIZE.findall(_ome_element(description, "Pixels"))}
    samples = _OME_SAMPLES.search(_ome_element(description, "Channel"))
    separate = sizes.get("C", 1) if samples and int(samples.group(1)) == 1 else 1
    return separate, sizes.get("Z", 1)


def _ome_element(description: str | None, name: str) -> str:
    """The first element of this name in an OME-XML text, with its attributes; "" where there is none."""
    if not description or "<OME" not in description:
        return ""
    start = description.find(f"<{name}")
    return description[start : description.find(">", start) + 1] if start >= 0 else ""


def _ome_length(values: dict[str, str], axis: str) -> float | None:
    length, unit = number(values.get(axis)), _UNIT_UM.get(values.get(axis + "Unit", "um"))
    return None if length is None or unit is None else length * unit
