"""Words exchanged for others that an encoder holds likely in their place, or near in meaning: no dictionary needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xstilts.errors import UserError
from xstilts.models.encoder import load_encoder, load_language_model
from xstilts.perturb.resources import Word, word_of
from xstilts.perturb.units import Need
from xstilts.perturb.vocabulary import Class, Vocabulary
from xstilts.tasks.shapes import Feature
from xstilts.tasks.shapes.pieces import Frame
from xstilts.training.batches import evaluation_batches
from xstilts.training.forward import arithmetic, collate, device, settle, size_of

TOP = 10
"""How many words are drawn from: the ones ranked highest."""
_STRIDE = 7
"""Of a text every seventh word is masked at once, near the 15 % that encoders are pretrained with."""
_WINDOW = 126
"""Pieces read at once; longer texts are cut. A mask needs no more context, and cost grows with length."""
_TOKENS = 8192
"""Padded pieces per batch."""
_ROWS = 256
"""Masks whose logits are held at once: 256 MB of them with XLM-R's vocabulary."""

Options = Mapping[int, tuple[str, ...]]


class _Masked(NamedTuple):
    """A word to be replaced."""

    text: int
    unit: int
    word: Word
    kind: Class
    first: int
    """The first piece that holds a letter of it."""
    last: int


class MaskedNeighbours:
    """What the encoder's own masked-language-modelling head ranks highest where the word is masked.

    A word is masked by one piece, however many it has, and replaced by one piece that is a whole word of the same
    script. All words of a text have proposals, computed in seven passes over the text with every seventh word masked:
    so they are a function of the text, whatever the rate and seed, and texts that repeat (premises, paragraphs) cost
    once. One word at a time would cost twenty passes for a sentence of twenty words. What is batched together changes
    logits by rounding alone, which matters only where words tie for the last place among those drawn from.
    """

    needs: Need = "model"

    def __init__(self, encoder: Any, tokenizer: Any, head: nn.Module, precision: str = "float32") -> None:
        settle()
        self._encoder, self._head = encoder.to(device()).eval(), head.to(device()).eval()
        self._tokenizer, self._precision = tokenizer, precision
        self._vocabulary = Vocabulary(tokenizer)
        self._frame = Frame.of(tokenizer)
        self._found: dict[tuple[str, ...], dict[int, tuple[str, ...]]] = {}

    def prepare(self, texts: Sequence[Sequence[str]]) -> None:
        """See `Resource`. What was prepared before and is not among these is forgotten."""
        wanted = list(dict.fromkeys(map(tuple, texts)))
        new = [units for units in wanted if units not in self._found]
        self._found = {units: self._found.get(units, {}) for units in wanted}
        if not new:
            return
        features = []
        encoded = self._tokenizer(["".join(units) for units in new], add_special_tokens=False,
                                  return_offsets_mapping=True)  # fmt: skip
        for i, units in enumerate(new):
            ids = encoded["input_ids"][i]
            words = self._words(i, units, encoded["offset_mapping"][i])
            for group in range(min(_STRIDE, len(words))):
                features += self._masked(ids, words[group::_STRIDE])
        for word, options in self._ranked(features):
            self._found[new[word.text]][word.unit] = options

    def options(self, units: Sequence[str]) -> Options:
        """See `Resource`."""
        key = tuple(units)
        if key not in self._found:
            self.prepare([*self._found, key])
        return self._found[key]

    def _words(self, text: int, units: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[_Masked]:
        """The words of a text that can be replaced, with the pieces they lie in."""
        found: list[_Masked] = []
        begin, piece = 0, 0
        for i, unit in enumerate(units):
            word = word_of(unit)
            kind = self._vocabulary.peers(word.core) if word else None
            if word is not None and kind is not None:
                start = begin + len(word.before)
                end = start + len(word.core)
                while piece < len(offsets) and offsets[piece][1] <= start:
                    piece += 1
                last = piece
                while last + 1 < len(offsets) and offsets[last + 1][0] < end:
                    last += 1
                if piece < len(offsets) and offsets[piece][0] < end:
                    found.append(_Masked(text, i, word, kind, piece, last))
            begin += len(unit)
        return found

    def _masked(self, ids: Sequence[int], words: Sequence[_Masked]) -> list[Feature]:
        """The text with these words masked, in windows; `target` is where the masks are, `extra` whose they are."""
        body: list[int] = []
        places: dict[int, _Masked] = {}
        after = 0
        for word in words:
            if word.first < after:  # shares a piece with the word before it, which is masked already
                continue
            body += ids[after : word.first]
            places[len(body)] = word
            body.append(self._tokenizer.mask_token_id)
            after = word.last + 1
        body += ids[after:]
        before = len(self._frame.before)
        features = []
        for start in range(0, len(body), _WINDOW):
            inside = [place for place in places if start <= place < start + _WINDOW]
            if inside:
                pieces = self._frame.single(body[start : start + _WINDOW])
                features.append(Feature(0, [pieces], target=[before + place - start for place in inside],
                                        extra={"words": [places[place] for place in inside]}))  # fmt: skip
        return features

    @torch.inference_mode()
    def _ranked(self, features: Sequence[Feature]) -> list[tuple[_Masked, tuple[str, ...]]]:
        """Each masked word with its options."""
        found: list[tuple[_Masked, tuple[str, ...]]] = []
        for indices in evaluation_batches([size_of(feature) for feature in features], _TOKENS, _TOKENS):
            part = [features[i] for i in indices]
            words = [word for feature in part for word in feature.extra["words"]]
            context, _ = arithmetic(self._precision)
            with context:
                hidden = self._encoder(**collate(part, self._tokenizer.pad_token_id, device())).last_hidden_state
                sequences = torch.tensor([i for i, f in enumerate(part) for _ in f.target], device=hidden.device)
                places = torch.tensor([place for f in part for place in f.target], device=hidden.device)
                vectors = hidden[sequences, places]
                for start in range(0, len(words), _ROWS):
                    logits = self._head(vectors[start : start + _ROWS]).float()
                    found += _best(logits, words[start : start + _ROWS], self._vocabulary)
        return found


def _best(
    logits: Tensor, words: Sequence[_Masked], vocabulary: Vocabulary
) -> list[tuple[_Masked, tuple[str, ...]]]:  # fmt: skip
    """Logits [n, vocabulary] of n masked words; for each the `TOP` words of its class."""
    found = []
    rows: dict[Class, list[int]] = {}
    for row, word in enumerate(words):
        rows.setdefault(word.kind, []).append(row)
    for kind, members in rows.items():
        ids = torch.tensor(vocabulary.classes[kind], device=logits.device)
        scores = logits[torch.tensor(members, device=logits.device)][:, ids]
        for row, ranked in zip(members, _top(scores, ids), strict=True):
            word = words[row]
            options = vocabulary.pick(ranked, word.word.core, TOP)
            if options:
                found.append((word, tuple(word.word.before + option + word.word.after for option in options)))
    return found


def _top(scores: Tensor, ids: Tensor) -> list[list[int]]:
    """The ids of the highest scores, best first; twice as many as are drawn from, as some may be the word itself."""
    best = scores.topk(min(2 * TOP, len(ids)), dim=1).indices
    found: list[list[int]] = ids[best].tolist()
    return found


class EmbeddedNeighbours:
    """The words whose input embeddings are nearest by cosine to the word's own, for encoders without a language-model
    head. A word of several pieces is at the mean of theirs. Context plays no part."""

    needs: Need = "model"

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        settle()
        self._tokenizer, self._vocabulary = tokenizer, Vocabulary(tokenizer)
        weights = encoder.get_input_embeddings().weight.detach().float().cpu()
        self._embeddings: Tensor = weights
        self._unit: Tensor = nn.functional.normalize(weights, dim=1)
        self._found: dict[str, tuple[str, ...]] = {}

    def prepare(self, texts: Sequence[Sequence[str]]) -> None:
        """See `Resource`."""
        cores = {word.core for units in texts for unit in units if (word := word_of(unit)) is not None}
        new: dict[Class, list[str]] = {}
        for core in sorted(cores - self._found.keys()):
            self._found[core] = ()
            kind = self._vocabulary.peers(core)
            if kind is not None:
                new.setdefault(kind, []).append(core)
        for kind, members in new.items():
            ids = torch.tensor(self._vocabulary.classes[kind])
            pieces = self._tokenizer(members, add_special_tokens=False)["input_ids"]
            for start in range(0, len(members), _ROWS):
                part = slice(start, start + _ROWS)
                vectors = torch.stack([self._embeddings[torch.tensor(p)].mean(0) if p else self._embeddings[0] * 0
                                       for p in pieces[part]])  # fmt: skip
                scores = nn.functional.normalize(vectors, dim=1) @ self._unit[ids].T
                for core, ranked in zip(members[part], _top(scores, ids), strict=True):
                    self._found[core] = self._vocabulary.pick(ranked, core, TOP)

    def options(self, units: Sequence[str]) -> Options:
        """See `Resource`."""
        self.prepare([units])
        found = {}
        for i, unit in enumerate(units):
            word = word_of(unit)
            if word is not None and self._found[word.core]:
                found[i] = tuple(word.before + option + word.after for option in self._found[word.core])
        return found


def load_neighbours(
    kind: str, model: str, identity: str = "", base: Path | None = None, precision: str = "float32"
) -> MaskedNeighbours | EmbeddedNeighbours:
    """The resource of the kind `mlm` or `neighbour`, from an encoder named as in `models.encoder.load_encoder`.

    `precision` as in `training.forward.arithmetic`. Raises `UserError` where the encoder cannot be loaded, and for
    `mlm` where it ships no language-model head: `neighbour` needs none.
    """
    if kind == "neighbour":
        return EmbeddedNeighbours(*load_encoder(model, identity, base))
    try:
        return MaskedNeighbours(*load_language_model(model, identity, base), precision)
    except UserError as error:
        if error.remedy is None or "leave out mlm" not in error.remedy:
            raise
        raise UserError(error.what, remedy="perturb by neighbour, which needs no head, instead of mlm") from None
