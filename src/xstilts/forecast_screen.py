"""What the terminal shows of forecasts."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from rich.console import Console
from rich.table import Table


def print_forecasts(facts: dict[str, Any]) -> None:
    """For each target the intermediates as each method ranks them, then how that compares with measured gains."""
    console = Console()
    ranked: dict[str, dict[str, list[str]]] = {}
    for row in sorted(facts["scores"], key=lambda row: -row["score"]):
        if not row["control"]:
            by_method = ranked.setdefault(row["target"], {})
            by_method.setdefault(row["method"], []).append(f"{row['intermediate']} {row['score']:.3f}")
    methods = list(dict.fromkeys(row["method"] for row in facts["scores"]))
    table = Table("target", *methods, title=f"Forecasts of {facts['study']}, best first", title_justify="left")
    for target in dict.fromkeys(row["target"] for row in facts["scores"]):
        columns = [ranked.get(target, {}).get(method, []) for method in methods]
        for i, cells in enumerate(zip_longest(*columns, fillvalue="")):
            table.add_row("" if i else target, *cells)
        table.add_section()
    console.print(table)
    if facts["methods"]:
        console.print(_measured(facts))
    else:
        console.print("no gains to compare with: run the study to see whether to trust these", highlight=False)
    for key, reason in facts["failed"].items():
        console.print(f"failed {key[:12]}: {reason}", highlight=False, markup=False)


def _measured(facts: dict[str, Any]) -> Table:
    """Rank correlation with the measured gains and regret, by target and in the mean."""
    table = Table("target", "method", "rank correlation", "p", "regret", "at random",
                  title="Beside the gains that were measured", title_justify="left")  # fmt: skip
    for column in table.columns[2:]:
        column.justify = "right"
    means = [{**row, "target": f"mean of {row['targets']}"} for row in facts["methods"]]
    for row in (*facts["targets"], *means):
        rho, p = ("" if row.get(name) is None else form.format(row[name]) for name, form in _FORMS)
        table.add_row(row["target"], row["method"], rho, p, f"{row['regret']:.1f}", f"{row['random']:.1f}")
    return table


_FORMS = (("rho", "{:+.2f}"), ("p", "{:.3f}"))
