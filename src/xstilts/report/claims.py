"""The claims' section of the report: verdicts in a table, and what each rests on in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xstilts.analysis.claims import (
    AS_STATED,
    CONTRADICTED,
    DEPARTS,
    NO_DATA,
    REPRODUCED,
    SUPPORTED,
    UNDECIDED,
    Judged,
)
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, MINUS, clean, listed, signed, span

Titles = Mapping[str, str]

RULE = (
    "A claim is supported where the whole 95 % interval lies where it should, contradicted where it lies wholly "
    "elsewhere (corrected where several comparisons could contradict it), and undecided otherwise. A claim of several "
    "parts is supported if all parts are and contradicted if any is; the numbers are those of the comparison that is "
    "farthest from what is claimed. Adapted: judged by stand-ins, by fewer than it names or on other data. Without "
    "data there is no verdict."
)
"""How to read the verdicts."""

_RELATIONS = {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below", "near": "near"}
_ORDER = (SUPPORTED, CONTRADICTED, UNDECIDED, REPRODUCED, DEPARTS, NO_DATA)
_ASKED = {"model": "the encoder", "public": "a public encoder", "phases": "the phases", "language": "the language of "
          "its intermediates", "single_tasks": "the number of single intermediate tasks"}  # fmt: skip
_FEW = 4  # names that a sentence lists rather than counts


def claim_words(judged: Judged) -> list[str]:
    """One sentence that counts the verdicts; [] without claims."""
    if judged.claims.empty:
        return []
    counts = judged.claims["verdict"].value_counts()
    said = {NO_DATA: "without data", DEPARTS: "departed from"}
    parts = [f"{counts[name]} {said.get(name, name)}" for name in _ORDER if name in counts]
    n = len(judged.claims)
    return [f"Of {n} claims: {listed(parts)}." if n > 1 else f"Of one claim: {parts[0]}."]


def claim_table(judged: Judged) -> Table:
    """One row per claim: its verdict and the numbers of the comparison that decides."""
    table = Table("Claims", ["claim", "in words", "verdict", "measured", "95 % interval", "claimed", "comparisons"],
                  [False, False, False, True, True, True, True])  # fmt: skip
    for row in judged.claims.to_dict("records"):
        look = "strong" if row["verdict"] in (SUPPORTED, CONTRADICTED, REPRODUCED, DEPARTS) else "quiet"
        verdict = row["verdict"] + ("" if row["basis"] == AS_STATED else f" ({row['basis']})")
        measured = isinstance(row["relation"], str)
        table.rows.append([
            Cell(clean(row["id"], 20)), Cell(clean(row["claim"], 600), "wide"), Cell(verdict, look),
            Cell(signed(row["estimate"]) if measured else DASH), Cell(span(row["low"], row["high"])),
            Cell(_claimed(row) if measured else DASH), Cell(str(row["n"]), "" if row["n"] else "quiet"),
        ])  # fmt: skip
    return table


def claims_frame(judged: Judged, arms: Titles, targets: Titles) -> pd.DataFrame:
    """`judged.claims` with a column `evidence`, sentences with the numbers; for `claims.csv` and `answer.json`."""
    evidence = [" ".join(claim_evidence(judged, str(name), arms, targets)) for name in judged.claims["id"]]
    words = {name: [clean(text, 1000) for text in judged.claims[name]] for name in ("id", "claim", "note", "source")}
    return judged.claims.assign(**words, evidence=evidence)


def claim_lines(judged: Judged, arms: Titles, targets: Titles) -> list[dict[str, Any]]:
    """Per claim what a template prints: `id`, `claim`, `verdict`, `evidence` (sentences), `note`, `source`."""
    return [
        {"id": clean(row["id"], 20), "claim": clean(row["claim"], 600), "verdict": str(row["verdict"]),
         "evidence": claim_evidence(judged, str(row["id"]), arms, targets), "note": clean(row["note"], 1000),
         "source": clean(row["source"])}
        for row in judged.claims.to_dict("records")
    ]  # fmt: skip


def claim_evidence(judged: Judged, name: str, arms: Titles, targets: Titles) -> list[str]:
    """A sentence per part of the claim, and one for each thing that a reader must know of it."""
    facts = judged.design[judged.design["id"] == name]
    if len(facts):
        return [_fact(row) for row in facts.to_dict("records")]
    parts = judged.parts[judged.parts["id"] == name]
    sentences: list[str] = []
    for part in parts.to_dict("records"):
        mine = judged.comparisons[(judged.comparisons["id"] == name) & (judged.comparisons["part"] == part["part"])]
        about = _part(part, mine.to_dict("records"), arms, targets)
        start = (
            f"Part {part['part']}, {part['verdict']}: "
            if len(parts) > 1
            else "Measured: "
            if len(mine)
            else "No data: "
        )
        sentences += [start + about[0], *about[1:]]
    verdicts = list(parts["verdict"])
    if NO_DATA in verdicts and CONTRADICTED not in verdicts and len({*verdicts}) > 1:
        sentences.append("Parts without data leave the claim undecided whatever the others say.")
    return sentences


def _part(part: Mapping[Any, Any], rows: Sequence[Mapping[Any, Any]], arms: Titles, targets: Titles) -> list[str]:
    if not rows:
        return [f"{clean(part['reason'], 600)}."]
    first = rows[0]
    if len(rows) > 1:
        found = [_several(part, rows, arms, targets)]
    else:
        found = [f"{_who(first, arms, targets)}: {_number(first)}; claimed is {_claimed(first)}."]
    if part["missing"]:
        found.append(f"{part['missing']} more could not be compared for want of a pair of runs.")
    short = max(row["missing"] for row in rows)
    if short:
        found.append(f"{short} of the targets could not be used for want of a pair of runs.")
    if pd.isna(first["low"]):
        found.append("There are too few examples for an interval.")
    elif min(row["n_seeds"] for row in rows) < 2:
        found.append("There was one seed: the interval does not cover the luck of training.")
    found += [f"Adapted: {clean(note, 600)}." for note in part["stand_ins"]]
    if part["replaced"]:
        found.append(f"The study has other data in place of {listed([clean(name) for name in part['replaced']])}.")
    return found


def _several(part: Mapping[Any, Any], rows: Sequence[Mapping[Any, Any]], arms: Titles, targets: Titles) -> str:
    """Of how many comparisons the relation holds, with the lowest and the highest."""
    low, high = (pick(rows, key=lambda row: float(row["estimate"])) for pick in (min, max))
    what = {"intermediate": "intermediates", "target": "targets", "rival": "comparisons"}.get(part["per"], "pairs")
    return (
        f"of {part['n']} {what} {part['inside']} {_is(part['inside'])} {_claimed(low)} by the estimate and "
        f"{part['sure']} by the whole interval, {part['needed']} needed; lowest {_who(low, arms, targets)}, "
        f"{_number(low)}; highest {_who(high, arms, targets)}, {_number(high)}."
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _who(row: Mapping[Any, Any], arms: Titles, targets: Titles) -> str:
    """`SQuAD v1.1 on UDPOS and XNLI`, with what it is compared with and how it is measured."""
    names = {"(best)": "the best intermediate of each target", **arms}
    over = tuple(row["over"])
    text = _named(row["intermediates"], names, "intermediates")
    by_target = bool(over) and over[0] in targets and over[0] not in arms
    if over and not by_target:
        text += f" over {_named(over, names, 'intermediates')}"
    text += f" on {_named(row['targets'], targets, 'targets')}"
    if by_target:
        text += f" less that on {_named(over, targets, 'targets')}"
    if row["measure"] != "clean":
        text += " under perturbation" if row["measure"] == "robust" else f" under {clean(row['measure'], 60)}"
    return text + (", English included" if row["languages"] == "all" else "")


def _named(names: Sequence[str], titles: Titles, what: str) -> str:
    return f"{len(names)} {what}" if len(names) > _FEW else listed([titles.get(n, clean(n, 60)) for n in names])


def _number(row: Mapping[Any, Any]) -> str:
    interval = "" if pd.isna(row["low"]) else f" {span(row['low'], row['high'])}"
    return f"{signed(row['estimate'])} points{interval}"


def _claimed(row: Mapping[Any, Any]) -> str:
    within = "" if pd.isna(row["within"]) else f", give or take {row['within']:g}"
    return f"{_RELATIONS[row['relation']]} {row['threshold']:g}{within}".replace("-", MINUS)


def _fact(row: Mapping[Any, Any]) -> str:
    """What the study does in one respect."""
    asked = _ASKED[row["asked"]]
    if row["verdict"] == NO_DATA:
        return f"The study's description does not tell {asked}."
    if row["asked"] == "public":
        said = {True: "is one of the Hugging Face hub", False: "is not one of the Hugging Face hub"}
        return f"The encoder {said.get(row['found'], 'is a folder, of which it is not known whether it is public')}."
    found = row["found"]
    if row["asked"] == "single_tasks":
        shown = f"{len(found)}" + (f" ({listed([clean(name, 60) for name in found])})" if found else "")
    else:
        shown = _said(found)
    between = " or " if row["asked"] == "model" else ", then "
    wanted = "" if row["verdict"] == REPRODUCED else f", not {_said(row['wanted'], between)}"
    return f"{asked[0].upper()}{asked[1:]}: {shown}{wanted}."


def _said(value: Any, between: str = ", then ") -> str:
    """A value of a design as words."""
    return clean(between.join(map(str, value)) if isinstance(value, list | tuple) else value)
