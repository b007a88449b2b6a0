"""XTREME's submission format: folders of predictions scored against folders of labels, or written from a study.

A submission is one folder with a folder for each of nine tasks, and in it one file per language, `test-de.tsv`
(questions: `.json`). Labels have the same layout. Nothing here imports torch.
"""

from __future__ import annotations

from xstilts.submission.scoring import Scores, score_submission
from xstilts.submission.writing import Submission, write_submission

__all__ = ["Scores", "Submission", "score_submission", "write_submission"]
