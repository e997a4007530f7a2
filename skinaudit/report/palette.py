"""The colours of the report, and the colour map that maps are drawn in."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from reportlab.lib.colors import Color, HexColor

INK = HexColor("#12303A")
TEAL = HexColor("#0E6470")
TEAL_DEEP = HexColor("#0B3B47")
TEAL_PALE = HexColor("#E6F0F1")
AMBER = HexColor("#D98218")
AMBER_PALE = HexColor("#FBF1E2")
GREY = HexColor("#66757B")
GREY_LIGHT = HexColor("#AEBABE")
LINE = HexColor("#D5DDDF")
PAPER = HexColor("#F5F8F8")
WHITE = HexColor("#FFFFFF")

#: Amber against teal stays apart in every common form of colour blindness, and in grey.
ARM_COLOURS: dict[str, Color] = {"adv2": AMBER, "joint": AMBER, "pgd": TEAL, "noise": GREY, "jpeg": GREY, "shift": GREY}

# Night blue to warm yellow through teal and sand: blue against yellow is the axis that colour-blind eyes keep.
_ANCHORS = (
    (7, 18, 48),
    (16, 40, 84),
    (24, 66, 104),
    (38, 92, 114),
    (72, 118, 116),
    (118, 144, 112),
    (170, 170, 98),
    (222, 196, 92),
    (255, 236, 150),
)


def lightness(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L* in [0,100] of sRGB colours (..., 3) in [0,255]. Source: CIE 15, IEC 61966-2-1."""
    scaled = rgb / 255.0
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    root = np.where(luminance > 216 / 24389, np.cbrt(luminance), (24389 / 27 * luminance + 16) / 116)
    found: NDArray[np.float64] = 116 * root - 16
    return found


@cache
def colour_table() -> NDArray[np.uint8]:
    """Colour of 256 map values, (256, 3) sRGB; equal steps of the map are equal steps of lightness L*."""
    anchors = np.array(_ANCHORS, dtype=np.float64)
    place = np.linspace(0, len(anchors) - 1, 4001)
    path = np.stack([np.interp(place, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)], axis=1)
    along = lightness(path)
    wanted = np.interp(np.linspace(along[0], along[-1], 256), along, place)
    table = [np.interp(wanted, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.stack(table, axis=1).round().astype(np.uint8)
