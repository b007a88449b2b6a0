"""Aspect-based sentiment: XABSA (SemEval 2016 restaurants in six languages) and M-ABSA (seven domains, 21 languages).

Three tasks each: the terms an opinion is about, terms with their polarity (end-to-end ABSA), the polarity of a given
term. Macro F1, usual for the last, is no ratio of sums over examples and is left out.
"""

from __future__ import annotations

from xstilts.languages import codes
from xstilts.tasks.metadata import Files, Task

_POLARITIES = ("NEG", "NEU", "POS")
_END_TO_END = tuple(f"{prefix}-{polarity}" for prefix in "BI" for polarity in _POLARITIES) + ("O",)
_TERMS = ("B-TERM", "I-TERM", "O")
_DOMAINS = {"restaurant": "restaurants", "hotel": "hotels", "laptop": "laptops", "phone": "phones", "food": "food",
            "sight": "sights", "coursera": "courses"}  # fmt: skip


def _xabsa(name: str, title: str, description: str, reader: str) -> Task:
    return Task(
        name=name,
        title=title,
        description=f"{description}, restaurants (SemEval 2016)",
        shape="classify" if reader == "xabsa_polarity" else "tag",
        category="aspect sentiment",
        level="semantic",
        languages=codes("en es fr nl ru tr"),
        metrics=("accuracy",) if reader == "xabsa_polarity" else ("chunk_f1",),
        labels={"xabsa": _END_TO_END, "xabsa_terms": _TERMS, "xabsa_polarity": _POLARITIES}[reader],
        head=reader.replace("xabsa", "absa"),
        sources=("files",),
        files=Files(
            reader=reader,
            train=("xabsa/rest/gold-{language}-train.txt",),
            dev=("xabsa/rest/gold-{language}-dev.txt",),
            test=("xabsa/rest/gold-{language}-test.txt",),
        ),
        licence="SemEval 2016 via META-SHARE: research only, no redistribution; XABSA's files: Apache-2.0",
        citation="Pontiki et al. 2016, SemEval-2016 task 5; Zhang et al. 2021, Cross-lingual ABSA (XABSA)",
    )


def _mabsa(name: str, title: str, description: str, reader: str, domain: str = "restaurant") -> Task:
    return Task(
        name=name,
        title=title,
        description=f"{description}, {_DOMAINS[domain]} (M-ABSA, translated)",
        shape="classify" if reader == "mabsa_polarity" else "tag",
        category="aspect sentiment",
        level="semantic",
        languages=codes("ar da de en es fr hi hr id ja ko nl pt ru sk sv sw th tr vi zh"),
        metrics=("accuracy",) if reader == "mabsa_polarity" else ("chunk_f1",),
        labels={"mabsa": _END_TO_END, "mabsa_terms": _TERMS, "mabsa_polarity": _POLARITIES}[reader],
        # translations may name a term of the English row not at all, so only whole sentences are parallel
        parallel=reader != "mabsa_polarity",
        differing=0.03,  # at most 3 of 308 rows (hotels, dev)
        head=reader.replace("mabsa", "absa"),
        sources=("files",),
        files=Files(
            reader=reader,
            train=(f"m_absa/{domain}/{{language}}/train.txt",),
            dev=(f"m_absa/{domain}/{{language}}/dev.txt",),
            test=(f"m_absa/{domain}/{{language}}/test.txt",),
        ),
        licence="none stated",
        citation="Wu et al. 2025, M-ABSA: a multilingual dataset for aspect-based sentiment analysis",
        notes="Terms that a translated sentence does not hold (in test 0.6 % for restaurants, 1.3 % laptops, 2.0 % "
        "hotels) and further polarities of one term are left out and counted: xstilts data check FOLDER TASK.",
    )


TASKS = (
    _xabsa("absa", "E2E ABSA", "Aspect terms with their polarity", "xabsa"),
    _xabsa("absa_terms", "ABSA terms", "Aspect terms", "xabsa_terms"),
    _xabsa("absa_polarity", "ABSA polarity", "Polarity of a given aspect term", "xabsa_polarity"),
    _mabsa("mabsa", "M-ABSA", "Aspect terms with their polarity", "mabsa"),
    _mabsa("mabsa_terms", "M-ABSA terms", "Aspect terms", "mabsa_terms"),
    _mabsa("mabsa_polarity", "M-ABSA polarity", "Polarity of a given aspect term", "mabsa_polarity"),
    *(
        _mabsa(f"mabsa_{domain}", f"M-ABSA {plural}", "Aspect terms with their polarity", "mabsa", domain)
        for domain, plural in _DOMAINS.items()
        if domain != "restaurant"
    ),
)
