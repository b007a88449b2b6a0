"""A drawing sheet in CSS pixels that becomes inline SVG; matplotlib without pyplot or global state."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle

from xstilts.report.text import clean

# Colours are drawn as these stand-ins and then replaced by the page's own, which follow light and dark mode.
INK, QUIET, RULE, GAIN, LOSS, PAGE = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_COLOURS = {
    INK: "currentColor", QUIET: "var(--quiet)", RULE: "var(--rule)",
    GAIN: "var(--gain)", LOSS: "var(--loss)", PAGE: "var(--page)",
}  # fmt: skip
SERIES = ("#3464eb", "#b78c0a", "#bc18a3", "#4a9f69", "#ac432c", "#0e9be6", "#636568")
"""Colours of series, the same on every ground: contrast is at least 3 to 1 on the light, dark and print page, and any
two differ by 20 or more in CIELAB with full colour vision, protanopia or deuteranopia (Machado, Oliveira & Fernandes
2009, severity 1). `series` adds a shape and a dash, so that no figure rests on colour alone."""
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "<", ">")
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (7, 2, 1.5, 2))
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "xstilts", "text.parse_math": False, "hatch.linewidth": 0.6,
    "font.family": "sans-serif",
}  # fmt: skip


def series(i: int) -> tuple[str, str, tuple[float, ...]]:
    """(colour, shape, dashes) of the series number `i`, from 0; no two of the first 77 are alike."""
    return SERIES[i % len(SERIES)], _SHAPES[i % len(_SHAPES)], _DASHES[i % len(_DASHES)]


class Canvas:
    """A sheet `width` by `height` pixels, origin top left, y downwards."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    def text(
        self, x: float, y: float, text: str, *, size: float = 12, colour: str = INK, anchor: str = "left",
        bold: bool = False, upwards: bool = False,
    ) -> None:  # fmt: skip
        """One line of text; `y` is its middle. `upwards` turns it to be read from below."""
        self.axes.text(
            x, y, clean(text), fontsize=size, color=colour, ha=anchor, va="center_baseline", parse_math=False,
            fontweight="bold" if bold else "normal", rotation=90 if upwards else 0, rotation_mode="anchor",
        )  # fmt: skip

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: str = RULE, width: float = 1) -> None:
        """A straight line."""
        self.path([x0, x1], [y0, y1], colour, width)

    def path(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, width: float = 1.6, dashes: tuple[float, ...] = ()
    ) -> None:
        """A line through points, broken at NaN; `dashes` alternate ink and gap, in widths of the line."""
        style: Any = (0, dashes) if dashes else "-"
        self._add(Line2D(xs, ys, color=colour, linewidth=width, linestyle=style, solid_capstyle="butt"))

    def band(
        self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str, alpha: float
    ) -> None:
        """The area between two lines over the same `xs`."""
        edge = [*zip(xs, lows, strict=True), *reversed([*zip(xs, highs, strict=True)])]
        self._add(Polygon(edge, facecolor=colour, alpha=alpha, linewidth=0))

    def box(self, x: float, y: float, width: float, height: float, colour: str, alpha: float = 1) -> None:
        """A filled rectangle."""
        self._add(Rectangle((x, y), width, height, facecolor=colour, alpha=alpha, linewidth=0))

    def hatched(self, x: float, y: float, width: float, height: float) -> None:
        """A rectangle that says: no number here."""
        self._add(Rectangle((x, y), width, height, facecolor="none", edgecolor=RULE, hatch="////", linewidth=0))

    def mark(self, x: float, y: float, radius: float, colour: str, *, shape: str = "o", filled: bool) -> None:
        """A disc (`o`), a square (`s`) or another of matplotlib's markers; open ones show the page's ground."""
        self._add(
            Line2D(
                [x], [y], linestyle="none", marker=shape, markersize=2 * radius,
                markerfacecolor=colour if filled else PAGE, markeredgecolor=colour, markeredgewidth=1.2, zorder=3,
            )
        )  # fmt: skip

    def _add(self, artist: Artist) -> None:
        # add_line and add_patch would also work out data limits, which a sheet of fixed size does not need.
        artist.set_transform(self.axes.transData)
        artist.set_clip_on(False)
        self.axes.add_artist(artist)

    def svg(self, name: str, title: str, description: str) -> Markup:
        """The sheet as inline SVG, the same bytes each time; `name` makes its ids unique within a page."""
        buffer = io.StringIO()
        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
            # Text is set by the reader's browser; that matplotlib's own font lacks a glyph is of no concern.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            drawing: Any = FigureCanvasSVG(self.figure)
            drawing.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        body = buffer.getvalue()
        body = body[body.index(">", body.index("<svg")) + 1 :]
        body = re.sub(r"<style.*?</style>", "", body, count=1, flags=re.DOTALL)  # would style the whole page
        body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
        body = re.sub(r'(?<=[\s<])id="', f'id="{name}-', body)
        body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
        body = re.sub(r" font-family: [^;\"]*;", "", body)  # the page's
        body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
        for stand_in, colour in _COLOURS.items():
            body = body.replace(stand_in, colour)
        body = re.sub(r">\s+<", ">\n<", body)
        width, height = f"{self.width:.0f}", f"{self.height:.0f}"
        return Markup(
            f'<svg class="figure" role="img" aria-labelledby="{name}-title {name}-desc" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
            f'<title id="{name}-title">{html.escape(clean(title))}</title>'
            f'<desc id="{name}-desc">{html.escape(clean(description))}</desc>{body.strip()}'
        )
