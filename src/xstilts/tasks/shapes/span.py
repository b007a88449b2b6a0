"""Span: the answer to a question as a stretch of its context, or none. Long contexts are read in windows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xstilts.models.heads import TokenHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Reads, Spec
from xstilts.tasks.shapes.pieces import Frame


class Span:
    """Start and end logits per piece (BERT, arXiv 1810.04805, section 4.2); windows as in the XTREME scripts."""

    name = "span"
    tunes = False
    alone = True
    reads: Reads = "pieces"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per window. A window advances by `stride` pieces, and by less where needed for two windows
        to share `max_answer` pieces, so that every answer of that length is whole in some window.

        The target is (start, end) in pieces of the window; a window without the first answer targets piece 0.
        """
        frame = Frame.of(tokenizer)
        questions = tokenizer([r["question"] for r in rows], add_special_tokens=False)["input_ids"]
        contexts = tokenizer([r["context"] for r in rows], add_special_tokens=False, return_offsets_mapping=True)
        features = []
        for i, row in enumerate(rows):
            question = questions[i][: spec.max_query]
            ids, offsets = contexts["input_ids"][i], contexts["offset_mapping"][i]
            room = max(1, frame.room(spec.max_length, len(question)))
            skip = len(frame.before) + len(question) + len(frame.between)
            answer = _pieces_of_answer(row, offsets) if training else None
            for start, stop in windows(len(ids), room, spec.stride, spec.max_answer):
                target = None
                if training:
                    inside = answer is not None and start <= answer[0] and answer[1] < stop
                    target = (answer[0] - start + skip, answer[1] - start + skip) if inside and answer else (0, 0)
                extra = {"start": start, "stop": stop, "skip": skip, "offsets": offsets}
                features.append(Feature(i, [frame.pair(question, ids[start:stop])], target, extra))
        return features

    def head(self, width: int, spec: Spec) -> nn.Module:
        """[n, length, H] to [n, length, 2], without dropout as in the reference code."""
        return TokenHead(width, 2, 0.0)

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Start and end logits [n, length, 2]; padding can never be chosen."""
        logits: Tensor = head(hidden)
        return logits.masked_fill(mask[..., None] == 0, torch.finfo(logits.dtype).min)

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """Mean of the cross-entropies of start and end over the pieces."""
        targets = torch.tensor([f.target for f in features], device=output.device)
        start = nn.functional.cross_entropy(output[..., 0], targets[:, 0])
        return (start + nn.functional.cross_entropy(output[..., 1], targets[:, 1])) / 2

    def terms(self, features: Sequence[Feature]) -> int:
        """The windows."""
        return len(features)

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> list[str]:
        """The best-scoring answer over all windows, in the exact characters of the context.

        With `spec.null_threshold` a question is left without an answer, `""`, when the score of none, piece 0's start
        and end logits in the window where they are lowest, exceeds that of the best answer by more than this
        (`compute_predictions_logits` of the SQuAD 2.0 code in transformers).
        """
        none = [np.inf for _ in rows]
        best: list[tuple[float, str]] = [(-np.inf, "") for _ in rows]
        by_row: dict[int, list[Feature]] = {}
        for feature in features:
            by_row.setdefault(feature.row, []).append(feature)
        for feature, output in zip(features, outputs, strict=True):
            none[feature.row] = min(none[feature.row], float(output[0, 0].sum()))
            found = _best_span(feature, by_row[feature.row], output[0], spec)
            if found is not None and found[0] > best[feature.row][0]:
                score, first, last = found
                offsets = feature.extra["offsets"]
                context = rows[feature.row]["context"]
                best[feature.row] = (score, context[offsets[first][0] : offsets[last][1]].strip())
        most = np.inf if spec.null_threshold is None else spec.null_threshold
        return ["" if null - score > most else text for (score, text), null in zip(best, none, strict=True)]

    def golds(self, rows: Sequence[Row]) -> list[list[str]]:
        """All accepted answers of each question."""
        return [list(row["answers"]) for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """Each answer replaced by a stretch of the same length anywhere in its context."""
        shuffled = []
        for row in rows:
            length = len(row["answers"][0]) if row["answers"] else 0
            start = rng.randrange(max(1, len(row["context"]) - length + 1))
            text = row["context"][start : start + length]
            shuffled.append({**row, "answers": [text] if length else [], "starts": [start] if length else []})
        return shuffled

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """None: it has no labels."""
        return ()


def windows(length: int, room: int, stride: int, overlap: int) -> list[tuple[int, int]]:
    """(start, stop) of windows of at most `room` pieces that cover `length` pieces.

    Starts are `stride` apart, or closer so that neighbours share `overlap` pieces (at least 1 apart).
    """
    step = max(1, min(stride, room - overlap))
    found, start = [(0, min(room, length))], 0
    while found[-1][1] < length:
        start += step
        found.append((start, min(start + room, length)))
    return found


def _pieces_of_answer(row: Row, offsets: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """First and last piece of the first answer; None for a question without one."""
    if not row["answers"]:
        return None
    start = row["starts"][0]
    end = start + len(row["answers"][0])
    covering = [i for i, (a, b) in enumerate(offsets) if a < end and b > start and b > a]
    return (covering[0], covering[-1]) if covering else None


def _best_span(feature: Feature, siblings: list[Feature], logits: Any, spec: Spec) -> tuple[float, int, int] | None:
    """(score, first, last) in pieces of the context: the best start and end of one window.

    A start counts only in the window that shows it with the most context on both sides (`token_is_max_context`
    of the SQuAD reference code).
    """
    start, stop, skip = feature.extra["start"], feature.extra["stop"], feature.extra["skip"]
    begins, ends = (logits[skip : skip + stop - start, side] for side in (0, 1))
    mine = [_context(feature, p) >= max(_context(s, p) for s in siblings) for p in range(start, stop)]
    begins = np.where(mine, begins, -np.inf)
    top_begins = np.argsort(-begins, kind="stable")[: spec.n_best]
    top_ends = np.argsort(-ends, kind="stable")[: spec.n_best]
    score = begins[top_begins][:, None] + ends[top_ends][None, :]
    length = top_ends[None, :] - top_begins[:, None] + 1
    score = np.where((length >= 1) & (length <= spec.max_answer), score, -np.inf)
    if not score.size or not np.isfinite(score.max()):
        return None
    i, j = np.unravel_index(int(score.argmax()), score.shape)
    return float(score[i, j]), start + int(top_begins[i]), start + int(top_ends[j])


def _context(feature: Feature, piece: int) -> float:
    start, stop = int(feature.extra["start"]), int(feature.extra["stop"])
    if not start <= piece < stop:
        return -1.0
    return min(piece - start, stop - 1 - piece) + 0.01 * (stop - start)


SHAPE = Span()
