"""Commonsense choices: the English tasks that teach it, and XCOPA, which asks for it in eleven languages.

File names are those of the official releases; the alternatives after them are names other copies use. CosmosQA is
among the intermediates (`tasks/intermediate.py`).
"""

from __future__ import annotations

from xstilts.languages import codes
from xstilts.tasks.metadata import Files, Task

HELLASWAG = Task(
    name="hellaswag",
    title="HellaSwag",
    description="HellaSwag: how a described scene goes on",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(
        reader="hellaswag_jsonl",
        train=("hellaswag/hellaswag_train.jsonl", "hellaswag/data/hellaswag_train.jsonl"),
        dev=("hellaswag/hellaswag_val.jsonl", "hellaswag/data/hellaswag_val.jsonl"),
    ),
    licence="MIT; its WikiHow part is under WikiHow's own terms",
    citation="Zellers et al. 2019, HellaSwag: can a machine really finish your sentence?",
)

CSQA = Task(
    name="csqa",
    title="CommonsenseQA",
    description="CommonsenseQA 1.11, random split (the test set has no labels)",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(
        reader="csqa_jsonl",
        train=("csqa/train_rand_split.jsonl", "commonsenseqa/train_rand_split.jsonl"),
        dev=("csqa/dev_rand_split.jsonl", "commonsenseqa/dev_rand_split.jsonl"),
    ),
    licence="MIT",
    citation="Talmor et al. 2019, CommonsenseQA: a question answering challenge targeting commonsense knowledge",
)

CODAH = Task(
    name="codah",
    title="CODAH",
    description="COmmonsense Dataset Adversarially-authored by Humans, all of it as training data",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(reader="codah_tsv", train=("codah/full_data.tsv", "codah/data/full_data.tsv")),
    licence="ODC-BY 1.0",
    citation="Chen et al. 2019, CODAH: an adversarially-authored question answering dataset for common sense",
)

SIQA = Task(
    name="siqa",
    title="Social IQa",
    description="Social Interaction QA (the test set has no labels)",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(
        reader="siqa_jsonl",
        train=("socialiqa-train-dev/train.jsonl", "siqa/socialiqa-train-dev/train.jsonl", "siqa/train.jsonl"),
        dev=("socialiqa-train-dev/dev.jsonl", "siqa/socialiqa-train-dev/dev.jsonl", "siqa/dev.jsonl"),
    ),
    licence="CC BY 4.0",
    citation="Sap et al. 2019, Social IQa: commonsense reasoning about social interactions",
)

COPA = Task(
    name="copa",
    title="COPA",
    description="Choice of Plausible Alternatives, split as in SuperGLUE (whose test set has no labels)",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(
        reader="copa_jsonl",
        train=("COPA/train.jsonl", "copa/train.jsonl", "xcopa/copa-train-en.jsonl"),
        dev=("COPA/val.jsonl", "copa/val.jsonl", "xcopa/copa-val-en.jsonl"),
    ),
    licence="BSD 2-clause",
    citation="Roemmele, Bejan and Gordon 2011, Choice of plausible alternatives: an evaluation of commonsense causal "
    "reasoning; Wang et al. 2019, SuperGLUE",
)

XCOPA = Task(
    name="xcopa",
    title="XCOPA",
    description="Cross-lingual Choice of Plausible Alternatives",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=codes("et ht id it qu sw ta th tr vi zh"),
    metrics=("accuracy",),
    parallel=True,
    head="copa",
    trains_on=("copa",),
    sources=("files",),
    files=Files(
        reader="copa_jsonl",
        dev=("xcopa/data/{language}/val.{language}.jsonl", "xcopa/val.{language}.jsonl"),
        test=("xcopa/data/{language}/test.{language}.jsonl", "xcopa/test.{language}.jsonl"),
    ),
    licence="CC BY 4.0",
    citation="Ponti et al. 2020, XCOPA: a multilingual dataset for causal commonsense reasoning",
    notes="The published files ask for the effect in every Thai row and in all Turkish dev rows; in the "
    "test sets 250 to 301 rows do, by language, though labels agree in all of them. Read as "
    "published. The question is asked in English in every language, in COPA's own words.",
)

TASKS = (HELLASWAG, CSQA, CODAH, SIQA, COPA, XCOPA)
