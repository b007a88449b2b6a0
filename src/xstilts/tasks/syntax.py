"""Universal Dependencies as two tasks: dependency trees and morphological features, over gold words.

Both are trained on English EWT. A language is evaluated on its PUD treebank, the same thousand sentences in every
language that has one, English included (XTREME's UDPOS takes all English treebanks together, which no other language
could be compared with), and else on the one treebank of the language that is there.
"""

from __future__ import annotations

from xstilts.languages import codes
from xstilts.tasks.metadata import Files, Task
from xstilts.tasks.xtreme import UDPOS

RELATIONS = codes(
    "acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse dislocated expl "
    "fixed flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis punct reparandum root vocative xcomp"
)
"""The 37 universal relations of UD v2 (https://universaldependencies.org/u/dep/)."""

_MORE = codes("cs gl is lt pl ro sv uk wo")
# Measured on the treebanks at hand: 2 % of the words of Japanese-PUD and Telugu-MTG have a feature and no word of
# Vietnamese-VTB has, against 11 % (Thai-PUD) to 94 % elsewhere. What is not annotated cannot be scored.
_WITHOUT_FEATURES = codes("ja te vi")
_EWT = "ud/UD_{name}-EWT/{language}_ewt-ud"
_TEST = ("ud/UD_{name}-PUD/{language}_pud-ud-test.conllu", "ud/UD_{name}-*/{language}_*-ud-test.conllu")
_LICENCE = "per treebank: CC BY-SA and CC BY-NC-SA"
_CITATION = "Nivre et al. 2020, Universal Dependencies v2; Zeman et al. 2017, CoNLL 2017 shared task (PUD)"

UDPARSE = Task(
    name="udparse",
    title="UD parsing",
    description="Universal Dependencies trees over gold words, relations without their subtypes",
    shape="parse",
    category="syntax",
    level="syntactic",
    languages=UDPOS.languages,
    more_languages=_MORE,
    metrics=("las", "uas"),
    labels=RELATIONS,
    sources=("files",),
    files=Files(reader="conllu_parse", train=(f"{_EWT}-train.conllu",), dev=(f"{_EWT}-dev.conllu",), test=_TEST),
    licence=_LICENCE,
    citation=_CITATION,
    notes="English is evaluated on PUD, the same thousand sentences as in the other PUD languages, not on "
    "XTREME's mixture of English treebanks. Head and relation are scored over all words, punctuation "
    "included, relations without subtypes (CoNLL 2018).",
)

UDFEATS = Task(
    name="udfeats",
    title="UD features",
    description="Universal Dependencies morphological features of gold words",
    shape="features",
    category="syntax",
    level="syntactic",
    languages=tuple(code for code in UDPOS.languages if code not in _WITHOUT_FEATURES),
    more_languages=_MORE,
    metrics=("features_f1", "features_accuracy"),
    open_labels=True,
    sources=("files",),
    files=Files(reader="conllu_features", train=(f"{_EWT}-train.conllu",), dev=(f"{_EWT}-dev.conllu",), test=_TEST),
    licence=_LICENCE,
    citation=_CITATION,
    notes="Treebanks annotate features to different degrees (from 12 % of words in Thai to 94 % in "
    "Polish); ja, te and vi have next to none and are left out. Values that English lacks cannot be "
    "predicted and count as missed.",
)

TASKS = (UDPARSE, UDFEATS)
