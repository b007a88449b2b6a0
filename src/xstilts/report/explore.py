"""All gains of a study, to be filtered and sorted in the page by `templates/report.js`; without script, those of the
zero-shot mean on clean text."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Container, Iterable
from dataclasses import dataclass
from importlib.resources import files

import pandas as pd
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from xstilts.analysis.gains import MEAN, SOURCE, ZERO_SHOT
from xstilts.analysis.perturbations import CLEAN, order, setting_of
from xstilts.report.frames import Frames
from xstilts.report.tables import Cell, Table
from xstilts.report.text import clean, excludes_zero, plain, signed, span

_NUMBERS = ("gain", "low", "high", "baseline", "score")
_SURE, _MARKED = 1, 2  # bits of a row's `looks`, which templates/report.js reads
_LONGEST = 60  # characters of a name


@dataclass(frozen=True)
class Option:
    """A choice of a filter."""

    value: str
    """What stands for it in the page's address."""
    label: str
    codes: str
    """The values that it lets through, as places in `Facet.titles` with spaces between; "": all of them."""


@dataclass(frozen=True)
class Facet:
    """A column that can be filtered by."""

    name: str
    titles: dict[str, str]
    """Its values, in the order of the page, and how each is shown; a value's place is its code."""
    groups: dict[str, str]
    """The group of each value."""
    selected: str
    """The value that the page begins with; "": all."""

    @property
    def options(self) -> list[tuple[str, list[Option]]]:
        """The choices by group, the one for everything first: (group, options)."""
        found = [("", [Option("", f"all {len(self.titles)}", "")])]
        codes = {value: str(code) for code, value in enumerate(self.titles)}
        for group in dict.fromkeys(self.groups.values()):
            members = [value for value, own in self.groups.items() if own == group]
            every = Option(f"all:{group}", f"all {len(members)}: {group}", " ".join(codes[m] for m in members))
            each = [Option(clean(m, _LONGEST), self.titles[m], codes[m]) for m in members]
            found.append((group, [every, *each] if len(members) > 1 else each))
        return found


@dataclass(frozen=True)
class Explore:
    """The section's parts."""

    facets: list[Facet]
    table: Table
    """The rows that the page begins with; a reader without script sees these alone."""
    total: int
    """How many rows there are in all."""
    data: Markup
    """All rows as JSON that is safe inside <script type="application/json">."""


def explorable(frames: Frames, marked: Container[tuple[str, str]] = (), mark: str = "") -> Explore | None:
    """One row per target, intermediate, perturbation and language of the frame of gains, in the main metric of each
    target; gains of the (intermediate, target) in `marked` bear the mark. None where there is no row.

    In the JSON `titles` has the values of the four facets, which `codes` number; `gain`, `low`, `high`, `baseline`
    and `score` are in tenths of a point, rounded as everywhere in print (null: none); `looks` has a digit a row:
    1 if the interval excludes zero, plus 2 if the row is marked.
    """
    rows = frames.gains[frames.gains["primary"].astype(bool)]
    if rows.empty:
        return None
    facets = _facets(frames, rows)
    codes = pd.DataFrame({f.name: rows[f.name].map({v: i for i, v in enumerate(f.titles)}) for f in facets})
    codes = codes.sort_values(["target", "intermediate", "perturbation", "language"], kind="stable")
    rows = rows.loc[codes.index]
    pairs = zip(rows["intermediate"], rows["target"], strict=True)
    looks = [
        _SURE * excludes_zero(low, high) + _MARKED * (pair in marked)
        for low, high, pair in zip(rows["low"], rows["high"], pairs, strict=True)
    ]
    data = {
        "titles": {f.name: list(f.titles.values()) for f in facets},
        "codes": {f.name: codes[f.name].tolist() for f in facets},
        **{name: _tenths(rows[name]) for name in _NUMBERS},
        "seeds": rows["n_seeds"].tolist(),
        "looks": "".join(map(str, looks)),
        "mark": mark,
    }
    shown = pd.Series(True, index=rows.index)
    for facet in facets:
        shown &= (rows[facet.name] == facet.selected) | (facet.selected == "")
    table = _table(rows.assign(looks=looks)[shown], facets, mark)
    return Explore(facets, table, len(rows), htmlsafe_json_dumps(data, separators=(",", ":")))


def _facets(frames: Frames, rows: pd.DataFrame) -> list[Facet]:
    """In the order of the table's first columns. The first view is that of the zero-shot mean on clean text."""
    there = {name: set(rows[name].unique()) for name in ("target", "intermediate", "language", "perturbation")}
    targets = [e for e in frames.targets if e.name in there["target"]]
    arms = [e for e in frames.intermediates if e.name in there["intermediate"]]
    first = [name for name in (ZERO_SHOT, MEAN, SOURCE) if name in there["language"]]
    languages = {name: clean(name, _LONGEST) for name in (*first, *sorted(there["language"].difference(first)))}
    settings = {name: clean(setting_of(name).title, _LONGEST) for name in order(list(there["perturbation"]))}
    return [
        Facet("target", {e.name: e.title for e in targets}, {e.name: e.group or "other" for e in targets}, ""),
        Facet("intermediate", {e.name: e.title for e in arms}, {e.name: e.group or "other" for e in arms}, ""),
        Facet("language", languages, {x: "means" if x in (ZERO_SHOT, MEAN) else "single languages" for x in languages},
              ZERO_SHOT if ZERO_SHOT in languages else next(iter(languages))),
        Facet("perturbation", settings, {x: CLEAN if x == CLEAN else "perturbed" for x in settings},
              next(iter(settings))),
    ]  # fmt: skip


def _tenths(values: Iterable[float]) -> list[int | None]:
    return [None if math.isnan(value) else round(10 * round(value, 1)) for value in values]


def _table(rows: pd.DataFrame, facets: list[Facet], mark: str) -> Table:
    table = Table(
        "All gains", [*(f.name for f in facets), "gain", "95 % interval", "without", "with", "seeds"],
        [False] * len(facets) + [True] * 5,
    )  # fmt: skip
    for row in rows.to_dict("records"):
        look = "strong" if row["looks"] & _SURE else ""
        table.rows.append([
            *(Cell(f.titles[row[f.name]]) for f in facets),
            Cell(signed(row["gain"]) + (mark if row["looks"] & _MARKED else ""), look),
            Cell(span(row["low"], row["high"]), look), Cell(plain(row["baseline"])), Cell(plain(row["score"])),
            Cell(str(row["n_seeds"])),
        ])  # fmt: skip
    return table


def script() -> Markup:
    """The page's one script, to stand between <script> and </script> as it is."""
    return Markup(files("xstilts.report").joinpath("templates/report.js").read_text("utf-8"))


def policy(script: str) -> str:
    """The Content-Security-Policy of a page in which nothing but this script may run and nothing may be fetched.

    A script is named by its hash (https://www.w3.org/TR/CSP3/#grammardef-hash-source), so that no other runs
    even if markup from data got into the page.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
