"""Perturbations of the rows of a task, such that every label stays right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xstilts.errors import UserError
from xstilts.perturb import PERTURBATIONS, Perturbed, get_perturbation, perturb_draft, perturb_with
from xstilts.perturb.rate import Draft, Reached
from xstilts.perturb.resources import Resource, equip, recorder
from xstilts.perturb.units import Perturbation, is_space, split
from xstilts.tasks.rows import Row

_SEPARATOR = "\n"
"""Between tokens: no cluster reaches across it, so that a token starting with a combining mark stays what it is."""


def perturb_rows(
    rows: Sequence[Row], shape: str, labels: Sequence[str], language: str, name: str, rate: float, seed: int, *,
    keep: bool = False, resource: Resource | None = None,
) -> tuple[list[Row], list[Reached]]:  # fmt: skip
    """The rows of a task of `shape` with perturbed text, and what was reached in each (its rate is `.rate`).

    `labels` are the task's: with a label `B-...` they mark chunks, and `keep` leaves the tokens of chunks as they are
    (aspect terms, names). In shape `classify`, `keep` leaves the second text of a pair as it is, together with its
    occurrences in the first: the aspect term whose polarity is asked for.

    - classify: both texts. choice: prompt and choices; a row whose choices would no longer differ keeps them.
    - tag, features, parse: characters inside tokens, none ever empty. Of the kinds that change words only those that
      keep the count: tokens change places together with their tags, heads follow, or one token stands for one;
      tokens of chunks stay.
    - span: question and context, but no character of any accepted answer; starts follow.
    - retrieve, mine: `text`, the evaluated language. XTREME's direction has English queries, but English is the same
      for all languages and the language under evaluation is what the perturbation is to make harder.

    `resource` is what kinds with `needs` take words from; it is asked about all rows at once. A row that could not be
    changed is equal to the row given.

    Raises `UserError` for other shapes, a rate outside 0 to 1, kinds that would change the number of tokens, and a
    missing resource.
    """
    if shape not in _SHAPES:
        raise UserError(f"rows of shape {shape} are not evaluated under perturbation",
                        remedy="known: " + ", ".join(sorted(_SHAPES)))  # fmt: skip
    perturbation = get_perturbation(name)
    if not survives(shape, perturbation):
        fitting = sorted(n for n in PERTURBATIONS.targets() if get_perturbation(n).keeps_count)
        raise UserError(f"{name} changes the number of tokens, and with it the labels of shape {shape}",
                        remedy="those that keep it: " + ", ".join(fitting))  # fmt: skip
    work = _Work(equip(perturbation, resource), language, rate, seed, keep, any(x.startswith("B-") for x in labels))
    if perturbation.needs and resource is not None:
        seen: dict[tuple[str, ...], None] = {}
        asking = _Work(recorder(perturbation, seen), language, rate, seed, keep, work.chunks)
        for row in rows:
            _SHAPES[shape](asking, row)
        resource.prepare(list(seen))
    done = [_SHAPES[shape](work, row) for row in rows]
    return [row for row, _ in done], [reached for _, reached in done]


def survives(shape: str, perturbation: Perturbation) -> bool:
    """Whether labels of a shape stay right: where every token has one, their number must stay."""
    return shape not in _TOKENS or perturbation.keeps_count


class _Work:
    """What is done to every row, and what to its texts."""

    def __init__(
        self, perturbation: Perturbation, language: str, rate: float, seed: int, keep: bool, chunks: bool
    ) -> None:
        self.perturbation, self.language, self.rate, self.seed = perturbation, language, rate, seed
        self.keep, self.chunks = keep, chunks

    def text(self, row: Row, field: str, text: str) -> Perturbed:
        """One text of a row."""
        return perturb_with(self.perturbation, text, self.language, self.rate, self.seed, row["id"], field)

    def fields(self, row: Row, names: Sequence[str]) -> tuple[Row, Reached]:
        """Several text fields of a row; those without text are passed over."""
        done = {name: self.text(row, name, row[name]) for name in names if row[name] is not None}
        parts = [Reached(part.edits, part.units) for part in done.values()]
        return {**row, **{name: part.text for name, part in done.items()}}, Reached.total(parts)

    def around(self, row: Row, field: str, spans: Sequence[tuple[int, int]]) -> tuple[str, list[int], Reached]:
        """A text field changed outside `spans` (start, end; code points): the text, the spans' new starts, the rate."""
        units = split(row[field], self.perturbation.unit)
        begins = _begins(units)
        frozen = [any(a < end and b > start for start, end in spans)
                  for a, b in zip(begins[:-1], begins[1:], strict=True)]  # fmt: skip
        draft = Draft(units, frozen, [0] * len(units))
        _, reached = perturb_draft(draft, self.language, self.perturbation, self.rate, self.seed, row["id"], field)
        after = _begins(["".join(slot) for slot in draft.slots])
        starts = []
        for start, end in spans:
            first = next((i for i, b in enumerate(begins[1:]) if b > start), 0) if end > start else 0
            starts.append(after[first] + start - begins[first] if end > start else min(start, after[-1]))
        return "".join(draft.units()), starts, reached


def _classify(work: _Work, row: Row) -> tuple[Row, Reached]:
    term = row["text_b"]
    if not work.keep or not term:
        return work.fields(row, ("text_a", "text_b"))
    text, _, reached = work.around(row, "text_a", _occurrences(row["text_a"], term))
    return {**row, "text_a": text}, reached


def _choice(work: _Work, row: Row) -> tuple[Row, Reached]:
    prompt = work.text(row, "prompt", row["prompt"])
    choices = [work.text(row, f"choices/{i}", choice) for i, choice in enumerate(row["choices"])]
    texts = [choice.text for choice in choices]
    parts = [prompt, *choices]
    if len(set(texts)) < len(set(row["choices"])):  # two have become one: the label would no longer be right
        texts, parts = list(row["choices"]), [prompt]
    units = sum(part.units for part in (prompt, *choices))
    return {**row, "prompt": prompt.text, "choices": texts}, Reached(sum(part.edits for part in parts), units)


def _text(work: _Work, row: Row) -> tuple[Row, Reached]:
    return work.fields(row, ("text",))


def _span(work: _Work, row: Row) -> tuple[Row, Reached]:
    changed, question = work.fields(row, ("question",))
    spans = [(start, start + len(answer)) for start, answer in zip(row["starts"], row["answers"], strict=True)]
    context, starts, reached = work.around(row, "context", spans)
    return {**changed, "context": context, "starts": starts}, Reached.total([question, reached])


def _tokens(work: _Work, row: Row) -> tuple[Row, Reached]:
    chunked = work.chunks and "tags" in row
    inside = [chunked and tag != "O" for tag in row.get("tags", [""] * len(row["tokens"]))]
    if work.perturbation.unit == "word":
        return _moved(work, row, inside)
    units: list[str] = []
    frozen: list[bool] = []
    groups: list[int] = []
    for i, token in enumerate(row["tokens"]):
        parts = split(token, "character")
        units += [*parts, _SEPARATOR]
        frozen += [*([inside[i] and work.keep] * len(parts)), True]
        groups += [i] * (len(parts) + 1)
    draft = Draft(units, frozen, groups)
    _, reached = perturb_draft(draft, work.language, work.perturbation, work.rate, work.seed, row["id"], "tokens")
    tokens = [""] * len(row["tokens"])
    for unit, slot, group in zip(units, draft.slots, groups, strict=True):
        tokens[group] += "" if unit == _SEPARATOR else "".join(slot)
    return {**row, "tokens": tokens}, reached


def _moved(work: _Work, row: Row, inside: Sequence[bool]) -> tuple[Row, Reached]:
    """Tokens in another order, or others in their places: what a perturbation of words that keeps their count does."""
    units = [unit for token in row["tokens"] for unit in (token, " ")]
    draft = Draft(units, [flag for tag in inside for flag in (tag, False)], [0] * len(units))
    changes, reached = perturb_draft(draft, work.language, work.perturbation, work.rate, work.seed, row["id"], "tokens")
    places = list(range(len(units)))
    tokens = list(row["tokens"])
    for change in changes:
        span = slice(change.start, change.stop)
        if change.new == tuple(reversed(units[span])):
            places[span] = reversed(places[span])
        elif len(change.new) == len(units[span]) == 1 and not any(map(is_space, (units[change.start], *change.new))):
            tokens[change.start // 2] = change.new[0]
        else:
            raise ValueError(f"{work.perturbation.name} keeps the number of words, but neither moves nor replaces them")
    order = [place // 2 for place in places if place % 2 == 0]  # which old token is now there
    new = {old: position for position, old in enumerate(order)}
    moved: Row = {field: [row[field][i] for i in order] for field in ("tags", "heads", "relations") if field in row}
    if "heads" in moved:
        moved["heads"] = [new[head - 1] + 1 if head else 0 for head in moved["heads"]]
    return {**row, "tokens": [tokens[i] for i in order], **moved}, reached


def _begins(units: Sequence[str]) -> list[int]:
    """Where each unit begins, in code points, and where the last ends."""
    begins = [0]
    for unit in units:
        begins.append(begins[-1] + len(unit))
    return begins


def _occurrences(text: str, term: str) -> list[tuple[int, int]]:
    found, start = [], text.find(term)
    while start >= 0:
        found.append((start, start + len(term)))
        start = text.find(term, start + 1)
    return found


_TOKENS = ("tag", "features", "parse")
_SHAPES: dict[str, Callable[[_Work, Row], tuple[Row, Reached]]] = {
    "classify": _classify, "choice": _choice, "span": _span, "retrieve": _text, "mine": _text,
    **dict.fromkeys(_TOKENS, _tokens),
}  # fmt: skip
