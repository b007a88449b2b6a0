"""The report's figures and tables as files: standalone SVG, CSV and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from xstilts.report.latex import latex, table_csv
from xstilts.report.tables import Table

_FONT = "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"
_MARGIN = 12  # pixels around a figure that stands alone


@cache
def light_palette() -> dict[str, str]:
    """The colours of the page in light mode by name (`ink`, `gain`, ...), from its style sheet; `page` is white."""
    style = files("xstilts.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    first = style[: style.index("}")]
    return dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{3,6})", first)) | {"page": "#ffffff"}


def standalone(figure: Markup) -> str:
    """An inline figure of the report as an SVG document of its own: light colours and fonts in place of the page's, on
    a white ground, so that it looks the same in a viewer of either mode and on paper."""
    colours = light_palette()

    def resolved(style: re.Match[str]) -> str:
        text = style[0].replace("currentColor", colours["ink"])
        return re.sub(r"var\(--([a-z0-9-]+)\)", lambda name: colours.get(name[1], colours["ink"]), text)

    svg = re.sub(r'style="[^"]*"', resolved, str(figure))
    svg = re.sub("[\ufffe\uffff]", "\ufffd", svg)  # HTML takes these two, XML does not
    svg = re.sub(r'<svg class="figure" (.*?)width="(\d+)" height="(\d+)" viewBox="[^"]*"', _framed, svg, count=1)
    # the ground comes after <title> and <desc>, which readers look for first
    ground = f'</desc><rect x="-{_MARGIN}" y="-{_MARGIN}" width="100%" height="100%" fill="{colours["page"]}"/>'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + svg.replace("</desc>", ground, 1) + "\n"


def _framed(root: re.Match[str]) -> str:
    """The opening tag with a font and a margin around the drawing."""
    width, height = (int(side) + 2 * _MARGIN for side in (root[2], root[3]))
    box = f"-{_MARGIN} -{_MARGIN} {width} {height}"
    return f'<svg font-family="{_FONT}" {root[1]}width="{width}" height="{height}" viewBox="{box}"'


def write_files(values: Mapping[str, Any], out: Path) -> list[Path]:
    """Writes every table and figure among `values` (a report's `view`) below `out` and returns the paths, in order.

    Tables become tables/NAME.csv and tables/NAME.tex, figures figures/NAME.svg. A value counts if it is a `Table` with
    rows or a figure (Markup that begins with `<svg`), or a list of such or of (title, such). NAME is made of the key
    and, within lists, of the titles, in a-z, 0-9 and hyphens, with a number where two would be alike.
    """
    taken: set[str] = set()
    paths = []
    for name, item in _named(values):
        if isinstance(item, Table):
            stem = _free(f"tables/{name}", taken)
            paths += [_write(out / f"{stem}.csv", table_csv(item)), _write(out / f"{stem}.tex", latex(item))]
        else:
            paths.append(_write(out / f"{_free(f'figures/{name}', taken)}.svg", standalone(item)))
    return paths


def _named(values: Mapping[str, Any]) -> Iterator[tuple[str, Table | Markup]]:
    for key, value in values.items():
        if _wanted(value):
            yield _slug(re.sub("_table$", "", key)), value
        for item in value if isinstance(value, list | tuple) else ():
            stem = re.sub("_(tables|figures)$", "", key)
            if isinstance(item, tuple) and len(item) == 2 and _wanted(item[1]):
                yield _slug(f"{stem} {item[0]}"), item[1]
            elif _wanted(item):
                yield _slug(f"{stem} {item.title}" if isinstance(item, Table) else stem), item


def _wanted(value: object) -> bool:
    return bool(value.rows) if isinstance(value, Table) else isinstance(value, Markup) and value.startswith("<svg")


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower())[:80].strip("-") or "unnamed"


def _free(stem: str, taken: set[str]) -> str:
    name, n = stem, 1
    while name in taken:
        n += 1
        name = f"{stem}-{n}"
    taken.add(name)
    return name


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
