"""The colours of the figures: seen on every ground, told apart by the colour-blind, never alone."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest

from xstilts.report.canvas import SERIES, series
from xstilts.report.svg_files import light_palette

STYLE = files("xstilts.report").joinpath("templates", "style.css")


def _light(colour: str) -> np.ndarray:
    """Linear RGB of a `#rrggbb` or `#rgb` (sRGB, IEC 61966-2-1)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    value = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _contrast(a: str, b: str) -> float:
    """Contrast ratio of WCAG 2, 1 to 21."""
    dark, light = sorted(float(_light(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (light + 0.05) / (dark + 0.05)


def _lab(light: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(light, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Machado, Oliveira & Fernandes 2009, table of severity 1.0
SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
}


def _palettes() -> list[dict[str, str]]:
    """Light, dark and print colours of the page."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(), flags=re.DOTALL)
    return [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks]


def test_colours_are_seen_on_every_ground() -> None:
    """Marks and lines have at least 3 to 1 against the page in light, dark and print, text 4.5 to 1 (WCAG 2)."""
    palettes = _palettes()
    assert len(palettes) == 3 and light_palette()["ink"] == palettes[0]["ink"]
    for palette in palettes:
        for colour in (*SERIES, palette["gain"], palette["loss"]):
            assert _contrast(colour, palette["page"]) >= 3, colour
        assert min(_contrast(palette[name], palette["page"]) for name in ("ink", "quiet")) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart_by_the_colour_blind(sight: str) -> None:
    """Any two series, and gain and loss, stay at least 20 apart in CIELAB as protanopes and deuteranopes see them."""
    seen = {colour: _lab(SIGHT[sight] @ _light(colour)) for colour in SERIES}
    assert min(float(np.linalg.norm(seen[a] - seen[b])) for a, b in itertools.combinations(SERIES, 2)) >= 20
    for palette in _palettes():
        gain, loss = (_lab(SIGHT[sight] @ _light(palette[name])) for name in ("gain", "loss"))
        assert np.linalg.norm(gain - loss) >= 20


def test_no_figure_rests_on_colour_alone() -> None:
    """Series that share a colour differ in shape or dashes, for more of them than any study has."""
    assert len({series(i) for i in range(77)}) == 77
    assert len({series(i)[1:] for i in range(11)}) == 11
