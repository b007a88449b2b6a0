"""Intermediate tasks read from files: what English teaches an encoder before the target task.

File names are those of the official releases; the alternatives after them are names other copies use.
"""

from __future__ import annotations

from xstilts.languages import codes
from xstilts.tasks.metadata import Files, Task

NLI = ("contradiction", "entailment", "neutral")
"""XTREME's order of the entailment labels."""

SNLI = Task(
    name="snli",
    title="SNLI",
    description="Stanford Natural Language Inference 1.0",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=NLI,
    head="nli",
    sources=("files",),
    files=Files(
        reader="snli_jsonl",
        train=("snli/snli_1.0_train.jsonl", "snli_1.0/snli_1.0_train.jsonl"),
        dev=("snli/snli_1.0_dev.jsonl", "snli_1.0/snli_1.0_dev.jsonl"),
        test=("snli/snli_1.0_test.jsonl", "snli_1.0/snli_1.0_test.jsonl"),
    ),
    licence="CC BY-SA 4.0",
    citation="Bowman et al. 2015, A large annotated corpus for learning natural language inference",
)

SICK = Task(
    name="sick",
    title="SICK",
    description="Sentences Involving Compositional Knowledge",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=NLI,
    head="nli",
    sources=("files",),
    files=Files(
        reader="sick_tsv",
        train=("sick/SICK_train.txt",),
        dev=("sick/SICK_trial.txt",),
        test=("sick/SICK_test_annotated.txt",),
    ),
    licence="CC BY-NC-SA 3.0",
    citation="Marelli et al. 2014, A SICK cure for the evaluation of compositional distributional models",
)

MNLI = Task(
    name="mnli",
    title="MNLI",
    description="Multi-Genre NLI, as distributed with XNLI (XNLI-MT 1.0)",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=NLI,
    head="nli",
    sources=("files",),
    files=Files(
        reader="pair_tsv",
        train=(
            "xnli/XNLI-MT-1.0/multinli/multinli.train.en.tsv",
            "XNLI-MT-1.0/multinli/multinli.train.en.tsv",
            "xnli/multinli.train.en.tsv",
            "xnli/train-en.tsv",
        ),
    ),
    licence="OANC and others, per genre; free for any use",
    citation="Williams et al. 2018, A broad-coverage challenge corpus for sentence understanding",
)

MSRP = Task(
    name="msrp",
    title="MSRP",
    description="Microsoft Research Paraphrase Corpus",
    shape="classify",
    category="paraphrase",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=("0", "1"),
    sources=("files",),
    files=Files(
        reader="msrp_tsv",
        train=("msrp/msr_paraphrase_train.txt", "msrp/msr-para-train.tsv"),
        dev=("msrp/msr-para-val.tsv",),
        test=("msrp/msr_paraphrase_test.txt", "msrp/msr-para-test.tsv"),
    ),
    licence="Microsoft Shared Source Licence (non-commercial research)",
    citation="Dolan and Brockett 2005, Automatically constructing a corpus of sentential paraphrases",
)

SQUAD_V1 = Task(
    name="squad_v1",
    title="SQuAD v1.1",
    description="Stanford Question Answering Dataset 1.1",
    shape="span",
    category="span QA",
    level="semantic",
    languages=("en",),
    metrics=("qa_f1", "qa_em"),
    head="qa",
    sources=("files",),
    files=Files(reader="squad_json", train=("squad/train-v1.1.json",), dev=("squad/dev-v1.1.json",)),
    licence="CC BY-SA 4.0",
    citation="Rajpurkar et al. 2016, SQuAD: 100,000+ questions for machine comprehension of text",
)

SQUAD_V2 = Task(
    name="squad_v2",
    title="SQuAD v2.0",
    description="Stanford Question Answering Dataset 2.0, with unanswerable questions",
    shape="span",
    category="span QA",
    level="semantic",
    languages=("en",),
    metrics=("qa_f1", "qa_em"),
    head="qa",
    sources=("files",),
    files=Files(reader="squad2_json", train=("squad/train-v2.0.json",), dev=("squad/dev-v2.0.json",)),
    licence="CC BY-SA 4.0",
    citation="Rajpurkar et al. 2018, Know what you don't know: unanswerable questions for SQuAD",
)

COSMOSQA = Task(
    name="cosmosqa",
    title="CosmosQA",
    description="Cosmos QA: commonsense reading comprehension",
    shape="choice",
    category="commonsense choice",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(reader="cosmos_csv", train=("cosmosqa/train.csv",), dev=("cosmosqa/valid.csv",)),
    licence="CC BY 4.0",
    citation="Huang et al. 2019, Cosmos QA: machine reading comprehension with commonsense",
)

PARALLEL = Task(
    name="parallel",
    title="translation pairs",
    description="Translation pairs with English (teaches what retrieval measures)",
    shape="retrieve",
    category="retrieval",
    level="semantic",
    languages=codes("ar bg bn de el es et eu fa fi fr he hi hu id it ja ko mr my nl pl pt ro ru sw ta th tl "
                    "tr uk ur vi yo zh"),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(reader="parallel_tsv", train=("parallel/en-{language}.tsv",)),
    licence="per source, named in each row's third column",
    citation="a collection; cite the sources that its third column names",
)  # fmt: skip

TASKS = (SNLI, SICK, MNLI, MSRP, SQUAD_V1, SQUAD_V2, COSMOSQA, PARALLEL)
