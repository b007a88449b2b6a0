"""Forecast: one score that foretells what an intermediate brings to a target, which is not trained for it."""

from __future__ import annotations

import json
from typing import ClassVar, Literal

from xstilts.step import Step, Work
from xstilts.store import Store

Method = Literal["logme", "similarity"]


class Forecast(Step):
    """A score of one arm for one target; higher foretells a higher gain."""

    kind: ClassVar[str] = "Forecast"

    method: Method
    target: str
    """Key of the `Embed` of the target's training rows: by the arm's encoder for `logme`, by the pretrained one for
    `similarity`."""
    texts: tuple[str, ...] = ()
    """Keys of the `Embed`s of the rows the arm learns from, one for each of its parts (`similarity`)."""

    def inputs(self) -> tuple[str, ...]:
        """What is compared."""
        return (self.target, *self.texts)

    def run(self, work: Work) -> None:
        """Writes `forecast.json`, {"score": number}. Raises `ValueError` where the target's labels are all alike."""
        import numpy as np

        from xstilts.analysis.transferability import logme, similarity

        target = work.store.input("Embed", self.target)
        if self.method == "logme":
            labels = json.loads((target / "labels.json").read_text("utf-8"))
            score = logme(np.load(target / "vectors.npy"), labels)
        else:
            # parts count alike: which of them the training sees most of is the sampler's affair
            means = [np.load(work.store.input("Embed", key) / "mean.npy") for key in self.texts]
            score = similarity(np.mean(means, axis=0), np.load(target / "mean.npy"))
        (work.out / "forecast.json").write_text(json.dumps({"score": score}), "utf-8")


def read_forecast(store: Store, key: str) -> float:
    """The score of a published `Forecast`."""
    score: float = json.loads((store.path("Forecast", key) / "forecast.json").read_text("utf-8"))["score"]
    return score
