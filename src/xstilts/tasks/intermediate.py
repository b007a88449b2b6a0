"""Intermediate tasks read from files: what English teaches an encoder before the target task.

File names are those of the official releases; the alternatives after them are names other copies use.
"""

from __future__ import annotations

from xstilts.languages import LANGUAGES, codes
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
    description="Multi-Genre NLI, from XNLI-MT 1.0, GLUE or its own release; dev is the matched one",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=NLI,
    head="nli",
    sources=("files",),
    files=Files(
        reader="mnli",
        train=(
            "xnli/XNLI-MT-1.0/multinli/multinli.train.en.tsv",
            "XNLI-MT-1.0/multinli/multinli.train.en.tsv",
            "xnli/multinli.train.en.tsv",
            "xnli/train-en.tsv",
            "glue/MNLI/train.tsv",
            "MNLI/train.tsv",
            "multinli_1.0/multinli_1.0_train.jsonl",
            "mnli/multinli_1.0_train.jsonl",
        ),
        dev=(
            "glue/MNLI/dev_matched.tsv",
            "MNLI/dev_matched.tsv",
            "multinli_1.0/multinli_1.0_dev_matched.jsonl",
            "mnli/multinli_1.0_dev_matched.jsonl",
        ),
    ),
    licence="OANC and others, per genre; free for any use",
    citation="Williams et al. 2018, A broad-coverage challenge corpus for sentence understanding",
)

ANLI = Task(
    name="anli",
    title="ANLI",
    description="Adversarial NLI 1.0, its three rounds together",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=NLI,
    head="nli",
    sources=("files",),
    files=Files(
        reader="anli_jsonl",
        train=("anli_v1.0/R1/train.jsonl", "anli/anli_v1.0/R1/train.jsonl", "anli/R1/train.jsonl"),
        dev=("anli_v1.0/R1/dev.jsonl", "anli/anli_v1.0/R1/dev.jsonl", "anli/R1/dev.jsonl"),
        test=("anli_v1.0/R1/test.jsonl", "anli/anli_v1.0/R1/test.jsonl", "anli/R1/test.jsonl"),
    ),
    licence="CC BY-NC 4.0",
    citation="Nie et al. 2020, Adversarial NLI: a new benchmark for natural language understanding",
)

RTE = Task(
    name="rte",
    title="RTE",
    description="Recognizing Textual Entailment 1, 2, 3 and 5, as in GLUE (whose test set has no labels)",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=("entailment", "not_entailment"),
    sources=("files",),
    files=Files(
        reader="glue_tsv",
        train=("glue/RTE/train.tsv", "RTE/train.tsv", "glue/RTE-train.tsv"),
        dev=("glue/RTE/dev.tsv", "RTE/dev.tsv", "glue/RTE-dev.tsv"),
    ),
    licence="none stated",
    citation="Dagan et al. 2006; Bar Haim et al. 2006; Giampiccolo et al. 2007; Bentivogli et al. 2009; "
    "Wang et al. 2019, GLUE",
)

QNLI = Task(
    name="qnli",
    title="QNLI",
    description="Does a sentence answer a question? SQuAD as sentence pairs, as in GLUE (whose test set has no labels)",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=("en",),
    metrics=("accuracy",),
    labels=("entailment", "not_entailment"),
    sources=("files",),
    files=Files(
        reader="glue_tsv",
        train=("glue/QNLI/train.tsv", "QNLI/train.tsv", "glue/QNLI-train.tsv"),
        dev=("glue/QNLI/dev.tsv", "QNLI/dev.tsv", "glue/QNLI-dev.tsv"),
    ),
    licence="CC BY-SA 4.0",
    citation="Rajpurkar et al. 2016, SQuAD: 100,000+ questions for machine comprehension of text; "
    "Wang et al. 2019, GLUE",
)

QQP = Task(
    name="qqp",
    title="QQP",
    description="Quora Question Pairs, as in GLUE (whose test set has no labels)",
    shape="classify",
    category="paraphrase",
    level="semantic",
    languages=("en",),
    metrics=("accuracy", "binary_f1"),
    labels=("0", "1"),
    sources=("files",),
    files=Files(
        reader="qqp_tsv",
        train=("glue/QQP/train.tsv", "QQP/train.tsv"),
        dev=("glue/QQP/dev.tsv", "QQP/dev.tsv"),
    ),
    licence="Quora's terms of service, non-commercial",
    citation="Iyer, Dandekar and Csernai 2017, First Quora dataset release: question pairs; Wang et al. 2019, GLUE",
    notes="Lines of the official training file without six columns, or with an empty question, are left "
    "out and counted (at most 1 in 1,000; more are refused).",
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
    notes="A question counts as unanswered where no answer scores higher than the best one (null_threshold 0).",
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

CCG = Task(
    name="ccg",
    title="CCG",
    description="CCG supertagging: the lexical categories of CCGbank, sections 02-21, 00 and 23",
    shape="tag",
    category="syntax",
    level="syntactic",
    languages=("en",),
    metrics=("token_accuracy",),
    open_labels=True,
    sources=("files",),
    files=Files(
        reader="ccg",
        train=("ccgbank/data/AUTO", "ccgbank_1_1/data/AUTO", "ccg/ccg.train"),
        dev=("ccgbank/data/AUTO/00", "ccgbank_1_1/data/AUTO/00", "ccg/ccg.dev"),
        test=("ccgbank/data/AUTO/23", "ccgbank_1_1/data/AUTO/23", "ccg/ccg.test"),
    ),
    licence="LDC User Agreement (LDC2005T13): to be used where you have it, never passed on",
    citation="Hockenmaier and Steedman 2007, CCGbank: a corpus of CCG derivations and dependency structures extracted "
    "from the Penn Treebank",
    notes="Licensed by the LDC, so read from a local copy only. Lexical categories are those that the "
    "training sections hold.",
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

TEXT = Task(
    name="text",
    title="running text",
    description="Running text, one sentence or passage a line, for language modelling beside an intermediate task",
    shape="mlm",
    category="language model",
    level="semantic",
    languages=tuple(LANGUAGES),
    metrics=("accuracy",),
    sources=("files",),
    files=Files(reader="text_lines", train=("{language}.txt", "text/{language}.txt")),
    licence="per file",
    citation="your own text; cite where it is from",
)

TASKS = (SNLI, SICK, MNLI, ANLI, RTE, QNLI, QQP, MSRP, SQUAD_V1, SQUAD_V2, COSMOSQA, CCG, PARALLEL, TEXT)

MIXTURES: dict[str, tuple[str, ...]] = {"anli_plus": ("anli", "mnli", "snli")}
"""Intermediates that the field knows by one name: several tasks on one head, rows in proportion to their number."""
