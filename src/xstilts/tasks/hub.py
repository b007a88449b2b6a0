"""Where the tasks lie on the Hugging Face hub.

Facts and their sources. A commit below is one that several public projects pin for this data set (google/xtreme's is
the hub's "Convert dataset to Parquet (#9)", google/xquad's is in MTEB's XQuADRetrieval); where none was found, the
branch is named and resolved to its commit when a study is planned. Columns and the order of labels are not taken on
trust: readers check the columns they find, and label numbers mean the names that the data set itself declares.

- by branch: unimelb-nlp/wikiann and jaredfern/codah (`main`, which is parquet); RobZamp/sick, allenai/cosmos_qa and
  allenai/social_i_qa, whose `main` is a loading script (never run): the hub's conversion of it, refs/convert/parquet

No block: parallel (a collection of ours), bucc2018 (google/xtreme's bucc18 has the gold pairs without the sentences
among which they are to be found), ccg (licensed by the LDC), the treebanks of udparse and udfeats (one data set per
treebank; the task's choice of treebanks is one of files), aspect sentiment (no redistribution without SemEval's terms).

What differs from the official files: google/xtreme reads UDPOS off the treebanks themselves (syntactic words of all
sentences), where XTREME's preprocessing leaves sentences of fused forms out; PAN-X is WikiANN, which XTREME's files
were made from; MNLI has GLUE's matched dev set.
"""

from __future__ import annotations

from typing import Any

from xstilts.tasks.metadata import Hub
from xstilts.tasks.xtreme import TATOEBA, TYDIQA, UDPOS

_CONVERTED = "refs/convert/parquet"
_GLUE: dict[str, Any] = {
    "dataset": "nyu-mll/glue",
    "revision": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    "train": "train",
}
_XTREME: dict[str, Any] = {"dataset": "google/xtreme", "revision": "ec5f1f46e9af79639a90684a7a70a956c4998f04"}
# UD 2.5 has test treebanks alone in these languages, and Kazakh a training set of 31 sentences
_NO_DEV = tuple(f"dev/{code}" for code in ("kk", "th", "tl", "yo"))
_NO_TRAIN = tuple(f"train/{code}" for code in ("th", "tl", "yo"))

HUB: dict[str, Hub] = {
    # -- intermediates
    "snli": Hub(dataset="stanfordnlp/snli", revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b", config="plain_text",
                reader="snli", train="train", dev="validation", test="test"),
    "sick": Hub(dataset="RobZamp/sick", revision=_CONVERTED, reader="sick", train="train", dev="validation",
                test="test"),
    "anli": Hub(dataset="facebook/anli", revision="8e4813d81f46d313dac7892e1c28076917cfcdf9", config="plain_text",
                reader="anli", train="train_r1+train_r2+train_r3", dev="dev_r1+dev_r2+dev_r3",
                test="test_r1+test_r2+test_r3"),
    "mnli": Hub(**_GLUE, config="mnli", reader="glue_mnli", dev="validation_matched"),
    "qqp": Hub(**_GLUE, config="qqp", reader="glue_qqp", dev="validation",
               spelling=(("not_duplicate", "0"), ("duplicate", "1"))),
    "rte": Hub(**_GLUE, config="rte", reader="glue_sentences", dev="validation"),
    "qnli": Hub(**_GLUE, config="qnli", reader="glue_qnli", dev="validation"),
    "msrp": Hub(**_GLUE, config="mrpc", reader="glue_sentences", dev="validation", test="test",
                spelling=(("not_equivalent", "0"), ("equivalent", "1"))),
    "squad_v1": Hub(dataset="rajpurkar/squad", revision="7b6d24c440a36b6815f21b70d25016731768db1f",
                    config="plain_text", reader="squad", train="train", dev="validation"),
    "squad_v2": Hub(dataset="rajpurkar/squad_v2", revision="3ffb306f725f7d2ce8394bc1873b24868140c412",
                    config="squad_v2", reader="squad2", train="train", dev="validation"),
    "cosmosqa": Hub(dataset="allenai/cosmos_qa", revision=_CONVERTED, reader="cosmos", train="train",
                    dev="validation"),
    "hellaswag": Hub(dataset="Rowan/hellaswag", revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
                     reader="hellaswag", train="train", dev="validation"),
    "csqa": Hub(dataset="tau/commonsense_qa", revision="94630fe30dad47192a8546eb75f094926d47e155", reader="csqa",
                train="train", dev="validation"),
    "codah": Hub(dataset="jaredfern/codah", revision="main", config="codah", reader="codah", train="train"),
    "siqa": Hub(dataset="allenai/social_i_qa", revision=_CONVERTED, reader="siqa", train="train", dev="validation"),
    "copa": Hub(dataset="aps/super_glue", revision="3de24cf8022e94f4ee4b9d55a6f539891524d646", config="copa",
                reader="copa", train="train", dev="validation"),
    # -- targets
    "udpos": Hub(**_XTREME, config="udpos.{name}", reader="pos_tags", train="train", dev="validation", test="test",
                 languages=UDPOS.languages, absent=_NO_DEV + _NO_TRAIN),
    "panx": Hub(dataset="unimelb-nlp/wikiann", revision="main", config="{language}", reader="ner_tags",
                train="train", dev="validation", test="test"),
    "xnli": Hub(dataset="facebook/xnli", revision="b8dd5d7af51114dbda02c0e3f6133f332186418e", config="{language}",
                reader="premise_hypothesis", dev="validation", test="test"),
    "pawsx": Hub(dataset="google-research-datasets/paws-x", revision="4cd8187c404bda33cb1f62b49b001115862acf37",
                 config="{language}", reader="pawsx", train="train", dev="validation", test="test"),
    "xquad": Hub(dataset="google/xquad", revision="51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
                 config="xquad.{language}", reader="squad_stripped", test="validation"),
    "mlqa": Hub(**_XTREME, config="MLQA.{language}.{language}", reader="squad_stripped", dev="validation",
                test="test"),
    "tydiqa": Hub(**_XTREME, config="tydiqa", reader="tydiqa", train="train", test="validation",
                  languages=TYDIQA.languages),
    "tatoeba": Hub(**_XTREME, config="tatoeba.{iso3}", reader="tatoeba", test="validation",
                   languages=TATOEBA.languages),
    "xcopa": Hub(dataset="cambridgeltl/xcopa", revision="042f78955ba48e6404616762fa6e05e839c3907a",
                 config="{language}", reader="copa", dev="validation", test="test"),
}  # fmt: skip
"""Task -> its place on the hub."""
