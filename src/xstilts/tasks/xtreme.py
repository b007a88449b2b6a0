"""XTREME's targets read from files, by its protocol (Hu et al. 2020): train in English, test everywhere.

`more_languages` are those that XTREME-R (Ruder et al. 2021) added to XTREME's.

The first pattern of a split is the name in XTREME's download folder; the others are names other copies use.
XTREME's own copies have their test labels removed; the readers refuse such files and say so.
"""

from __future__ import annotations

from xstilts.languages import XTREME, codes
from xstilts.tasks.intermediate import NLI
from xstilts.tasks.metadata import Files, Task

_UPOS = codes("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X")
_MLQA = "{split}-context-{language}-question-{language}.json"

UDPOS = Task(
    name="udpos",
    title="UDPOS",
    description="Universal Dependencies 2.5 part-of-speech tags",
    shape="tag",
    category="syntax",
    level="syntactic",
    languages=codes("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl "
                    "tr ur vi yo zh"),
    more_languages=codes("lt pl ro uk wo"),
    metrics=("chunk_f1", "token_accuracy"),
    labels=_UPOS,
    sources=("files",),
    files=Files(reader="tagged_tsv", train=("udpos/train-{language}.tsv",), dev=("udpos/dev-{language}.tsv",),
                test=("udpos/test-{language}.tsv",)),
    licence="per treebank: CC BY-SA and CC BY-NC-SA",
    citation="Nivre et al. 2020, Universal Dependencies v2; Hu et al. 2020, XTREME",
    notes="Scored by chunk F1 as XTREME does (seqeval 0.0.12 on plain tags), which is lower than token "
          "accuracy. The hub has the treebanks' own sentences, not XTREME's preprocessing of them.",
)  # fmt: skip

PANX = Task(
    name="panx",
    title="PAN-X",
    description="PAN-X (WikiANN) named entities",
    shape="tag",
    category="entities",
    level="semantic",
    languages=XTREME,
    more_languages=codes("az gu lt pa pl qu ro uk"),
    metrics=("chunk_f1",),
    labels=("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"),
    sources=("files",),
    files=Files(reader="tagged_tsv", train=("panx/train-{language}.tsv",), dev=("panx/dev-{language}.tsv",),
                test=("panx/test-{language}.tsv",)),
    licence="text from Wikipedia, CC BY-SA; the annotation states none",
    citation="Pan et al. 2017, Cross-lingual name tagging and linking for 282 languages; Rahimi et al. 2019",
    notes="Dev files repeat sentences (2,475 of 10,000 in Indonesian), and 325 English dev sentences are "
          "in the training file.",
)  # fmt: skip

XNLI = Task(
    name="xnli",
    title="XNLI",
    description="Cross-lingual Natural Language Inference",
    shape="classify",
    category="NLI",
    level="semantic",
    languages=codes("ar bg de el en es fr hi ru sw th tr ur vi zh"),
    metrics=("accuracy",),
    labels=NLI,
    parallel=True,
    head="nli",
    trains_on=("mnli",),
    sources=("files",),
    files=Files(
        reader="pair_tsv",
        dev=("xnli/dev-{language}.tsv",),
        test=("xnli/test-{language}.tsv", "xnli/derived/test-{language}.tsv"),
    ),
    licence="CC BY-NC 4.0",
    citation="Conneau et al. 2018, XNLI: evaluating cross-lingual sentence representations",
)

PAWSX = Task(
    name="pawsx",
    title="PAWS-X",
    description="Cross-lingual Paraphrase Adversaries from Word Scrambling",
    shape="classify",
    category="paraphrase",
    level="semantic",
    languages=codes("de en es fr ja ko zh"),
    metrics=("accuracy",),
    labels=("0", "1"),
    parallel=True,
    differing=0.03,  # at most 32 of 2,000 dev rows: untranslated sentences are labelled 0
    sources=("files",),
    files=Files(
        reader="pair_tsv",
        train=("pawsx/train-{language}.tsv", "pawsx/x-final/{language}/train.tsv"),
        dev=("pawsx/dev-{language}.tsv", "pawsx/x-final/{language}/dev_2k.tsv"),
        test=("pawsx/test-{language}.tsv", "pawsx/x-final/{language}/test_2k.tsv",
              "pawsx/derived/test-{language}.tsv"),
    ),
    licence="free for any purpose, with acknowledgement of Google LLC",
    citation="Yang et al. 2019, PAWS-X: a cross-lingual adversarial dataset for paraphrase identification",
    notes="Test rows whose sentence is NS were not translated; 32 of 2,000 dev rows differ in label "
          "between languages.",
)  # fmt: skip

XQUAD = Task(
    name="xquad",
    title="XQuAD",
    description="Cross-lingual Question Answering Dataset",
    shape="span",
    category="span QA",
    level="semantic",
    languages=codes("ar de el en es hi ru th tr vi zh"),
    more_languages=("ro",),
    metrics=("qa_f1", "qa_em"),
    parallel=True,
    head="qa",
    trains_on=("squad_v1",),
    sources=("files",),
    files=Files(reader="squad_json", test=("xquad/xquad.{language}.json",)),
    licence="CC BY-SA 4.0",
    citation="Artetxe et al. 2020, On the cross-lingual transferability of monolingual representations",
)

MLQA = Task(
    name="mlqa",
    title="MLQA",
    description="Multilingual Question Answering, question and context in one language",
    shape="span",
    category="span QA",
    level="semantic",
    languages=codes("ar de en es hi vi zh"),
    metrics=("mlqa_f1", "mlqa_em"),
    head="qa",
    trains_on=("squad_v1",),
    sources=("files",),
    files=Files(
        reader="squad_json",
        dev=tuple(f"mlqa/{folder}dev/{_MLQA.replace('{split}', 'dev')}" for folder in ("MLQA_V1/", "")),
        test=tuple(f"mlqa/{folder}test/{_MLQA.replace('{split}', 'test')}" for folder in ("MLQA_V1/", "")),
    ),
    licence="CC BY-SA 3.0",
    citation="Lewis et al. 2020, MLQA: evaluating cross-lingual extractive question answering",
)

TYDIQA = Task(
    name="tydiqa",
    title="TyDiQA-GoldP",
    description="TyDi QA, gold passage (the official dev set is XTREME's test set)",
    shape="span",
    category="span QA",
    level="semantic",
    languages=codes("ar bn en fi id ko ru sw te"),
    metrics=("qa_f1", "qa_em"),
    head="qa",
    sources=("files",),
    files=Files(
        reader="tydiqa_json",
        train=("tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{language}.train.json",
               "tydiqa_goldp/tydiqa.goldp.{language}.train.json"),
        test=("tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{language}.dev.json",
              "tydiqa_goldp/tydiqa.goldp.{language}.dev.json"),
    ),
    licence="Apache-2.0",
    citation="Clark et al. 2020, TyDi QA: a benchmark for information-seeking question answering",
    notes="XTREME's copies of the dev files, its test sets, have blank answers and are refused. Training "
          "ids repeat and are numbered.",
)  # fmt: skip

TATOEBA = Task(
    name="tatoeba",
    title="Tatoeba",
    description="Tatoeba sentence retrieval (LASER's test sets)",
    shape="retrieve",
    category="retrieval",
    level="semantic",
    languages=codes("af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw "
                    "ta te th tl tr ur vi zh"),
    more_languages=codes("az lt pl ro uk"),
    metrics=("accuracy",),
    trains_on=(),
    oracle=("parallel",),
    sources=("files",),
    files=Files(reader="tatoeba", test=("tatoeba/tatoeba.{iso3}-eng.{iso3}",
                                        "tatoeba/v1/tatoeba.{iso3}-eng.{iso3}")),
    licence="CC BY 2.0 FR",
    citation="Artetxe and Schwenk 2019, Massively multilingual sentence embeddings for zero-shot transfer",
)  # fmt: skip

BUCC = Task(
    name="bucc2018",
    title="BUCC",
    description="BUCC 2018 bitext mining; XTREME's test is the official training split, its dev the sample split",
    shape="mine",
    category="retrieval",
    level="semantic",
    languages=codes("de fr ru zh"),
    metrics=("set_f1",),
    trains_on=(),
    oracle=("parallel",),
    sources=("files",),
    files=Files(
        reader="bucc",
        dev=("bucc2018/{language}-en/{language}-en.sample.{language}", "bucc2018/{language}-en.dev.{language}"),
        test=("bucc2018/{language}-en/{language}-en.training.{language}", "bucc2018/{language}-en.test.{language}"),
    ),
    licence="none stated; given to the participants of the shared task for research",
    citation="Zweigenbaum et al. 2018, Overview of the third BUCC shared task",
    notes="Mined by ratio margin over the 4 nearest neighbours, one to one; the threshold of the greatest "
    "F1 is set on the dev split, or on the rows after the evaluated ones where only one split has "
    "gold. Texts that repeat are dropped after the matching, as in XTREME's scripts.",
)

TASKS = (UDPOS, PANX, XNLI, PAWSX, XQUAD, MLQA, TYDIQA, BUCC, TATOEBA)
