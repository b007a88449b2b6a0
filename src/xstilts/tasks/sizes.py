"""How many rows the official splits have, for plans made where the data is not. Never used to check data.

Sources. `google/xtreme` on the Hugging Face hub, its card's `num_examples`: SQuAD 1.1, XNLI, PAN-X, MLQA, XQuAD,
Tatoeba, and German UDPOS. `nyu-mll/glue`, likewise: MNLI, QQP. Copies of `squad_v2` there: SQuAD 2.0. The catalogue of
TensorFlow Datasets: SNLI, HellaSwag, CosmosQA, ANLI. PAWS-X and CommonsenseQA: cards of data sets on the hub that were
made of all their rows. Counted in XTREME's and the official files: the other languages of UDPOS, TyDiQA, SICK, COPA,
XCOPA, the development rows of SNLI and of Chinese BUCC. Not known here, and so guessed by a plan: CCGbank (the LDC says
"approximately 49,000 sentences" of all sections together) and BUCC's other corpora.
"""

from __future__ import annotations

from xstilts.languages import codes
from xstilts.tasks.metadata import Split

Sizes = int | dict[str, int]


def _each(languages: str, rows: int) -> dict[str, int]:
    return dict.fromkeys(codes(languages), rows)


# one size for all languages, or one for each
SIZES: dict[str, dict[Split, Sizes]] = {
    "snli": {"train": 550_152, "dev": 9_842, "test": 9_824},  # training rows without a gold label included
    "sick": {"train": 4_500, "dev": 500, "test": 4_927},
    "mnli": {"train": 392_702, "dev": 9_815},
    "anli": {"train": 16_946 + 45_460 + 100_459, "dev": 3_200, "test": 3_200},
    "qqp": {"train": 363_846, "dev": 40_430},
    "squad_v1": {"train": 87_599, "dev": 10_570},
    "squad_v2": {"train": 130_319, "dev": 11_873},
    "hellaswag": {"train": 39_905, "dev": 10_042},
    "cosmosqa": {"train": 25_262, "dev": 2_985},
    "csqa": {"train": 9_741, "dev": 1_221},
    "copa": {"train": 400, "dev": 100},
    "xcopa": {"dev": 100, "test": 500},
    "xnli": {"dev": 2_490, "test": 5_010},
    "pawsx": {"train": 49_401, "dev": 2_000, "test": 2_000},
    "xquad": {"test": 1_190},
    "mlqa": {
        "dev": {"ar": 517, "de": 512, "en": 1_148, "es": 500, "hi": 507, "vi": 511, "zh": 504},
        "test": {"ar": 5_335, "de": 4_517, "en": 11_590, "es": 5_253, "hi": 4_918, "vi": 5_495, "zh": 5_137},
    },
    "tydiqa": {
        "train": {"en": 3_696, "ko": 1_625, "sw": 2_755},
        "test": {"ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669},
    },
    "panx": {
        "train": {"en": 20_000},
        "dev": {"en": 10_000},
        "test": {
            **_each("ar bg de el en es et eu fa fi fr he hu id it ja ka ko nl pt ru th tr vi zh", 10_000),
            **_each("af bn hi kk ml mr ms sw ta te tl ur", 1_000),
            **_each("jv my yo", 100),
        },
    },
    "udpos": {
        "train": {"en": 21_787},
        "dev": {"en": 3_974},
        "test": {
            "af": 425, "ar": 1_680, "bg": 1_116, "de": 22_458, "el": 456, "en": 5_440, "es": 3_147, "et": 4_127,
            "eu": 1_799, "fa": 2_055, "fi": 6_544, "fr": 5_013, "he": 491, "hi": 2_684, "hu": 449, "id": 1_931,
            "it": 3_518, "ja": 2_365, "kk": 1_047, "ko": 4_276, "mr": 47, "nl": 1_471, "pt": 2_680, "ru": 8_973,
            "ta": 654, "te": 146, "th": 1_000, "tl": 222, "tr": 5_842, "ur": 535, "vi": 800, "yo": 318, "zh": 3_455,
        },
    },
    "tatoeba": {
        "test": {
            **_each("af ar bg bn de el es et eu fa fi fr he hi hu id it ja ko mr nl pt ru tl tr ur vi zh", 1_000),
            "jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548,
        },
    },
    "bucc2018": {"dev": {"zh": 21_956}},
}  # fmt: skip
"""Rows by task and split: of English training sets, of English development sets, of evaluation sets by language."""


def official_rows(task: str, split: Split, language: str) -> int | None:
    """Rows of an official split in a language; None where they are not known here."""
    sizes = SIZES.get(task, {}).get(split)
    return sizes.get(language) if isinstance(sizes, dict) else sizes
