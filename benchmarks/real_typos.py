"""Do generated typos at the rate of real ones cost what these cost?

    python benchmarks/real_typos.py --data DATA --model MODEL

XNLI's test set is parallel, so a premise can be searched among all premises of English, which needs no training. The
premises with real typos (arXiv 2210.04782) are paired with the clean ones by nearest text; those whose premise has a
typo are searched clean, with the real typos, and with generated ones at the very rate of that language. Accuracy in
per cent, points lost with 95 % intervals of the paired bootstrap over rows. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.models.encoder import load_encoder
from xstilts.perturb.own import pair_rows
from xstilts.perturb.rate import Reached, realised
from xstilts.perturb.rows import perturb_rows
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training.inference import predict

LANGUAGES = ("de", "es", "fr", "hi", "tr")
KINDS = ("keyboard", "swap", "delete", "insert", "diacritics")
Row = dict[str, Any]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder with xnli and noisy/xnli")
    options.add_argument("--model", required=True, help="an encoder as it was pretrained")
    options.add_argument("--rows", type=int, default=1000, help="rows per language at most")
    options.add_argument("--draws", type=int, default=2000)
    given = options.parse_args()
    source, task = FilesSource(given.data), get_task("xnli")
    english = source.rows(task, "test", "en")
    encoder, tokenizer = load_encoder(given.model, "", None)
    shape = SHAPES.get("retrieve")
    spec = Spec.of({}, (), encoder.config.num_hidden_layers)
    head = shape.head(encoder.config.hidden_size, spec)

    def found(rows: list[Row]) -> np.ndarray[Any, Any]:
        """[rows] 1 where the English premise finds its own row."""
        answers, _ = predict(encoder, tokenizer, head, shape, spec, rows, "float32")
        return np.array([answer == gold for answer, gold in zip(answers, shape.golds(rows), strict=True)], float)

    print("| language | rows | rate | clean | real typos |", " | ".join(KINDS), "|")
    print("|---|---|---|---|---|" + "---|" * len(KINDS))
    for language in LANGUAGES:
        clean = source.rows(task, "test", language)
        noisy = source.rows_from(f"noisy/xnli/test_{language}_typos_0.05.tsv.gz", task, language)
        pairs = [
            pair for pair in pair_rows(clean, noisy, "classify") if clean[pair.clean]["text_a"] != pair.row["text_a"]
        ]
        seen: dict[str, int] = {}  # three hypotheses share a premise
        pairs = [pair for pair in pairs if seen.setdefault(clean[pair.clean]["text_a"], pair.clean) == pair.clean]
        pairs = pairs[: given.rows]
        rows = [{"id": pair.row["id"], "text": clean[pair.clean]["text_a"], "english": english[pair.clean]["text_a"]}
                for pair in pairs]  # fmt: skip
        real = [{**row, "text": pair.row["text_a"]} for row, pair in zip(rows, pairs, strict=True)]
        rate = Reached.total(
            [realised(a["text"], b["text"], "character") for a, b in zip(rows, real, strict=True)]
        ).rate
        before = found(rows)
        drops = [_drop(before, found(real), given.draws)]
        for kind in KINDS:
            changed, reached = perturb_rows(rows, "retrieve", (), language, kind, rate, 0)
            total = Reached.total(reached).rate
            drop = _drop(before, found(changed), given.draws)
            drops.append(
                drop if abs(total - rate) < 0.1 * rate else f"{drop} (only {100 * total:.1f} %)" if total else "–"
            )
        print(
            f"| {language} | {len(rows)} | {100 * rate:.1f} % | {100 * before.mean():.1f} |",
            " | ".join(drops),
            "|",
            flush=True,
        )


def _drop(before: Any, after: Any, draws: int) -> str:
    """Points lost, with the interval."""
    lost = 100 * (before - after)
    drawn = np.random.default_rng(0).integers(0, len(lost), size=(draws, len(lost)))
    low, high = np.quantile(lost[drawn].mean(axis=1), [0.025, 0.975])
    return f"{lost.mean():.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    main()
