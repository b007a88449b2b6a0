"""Pretrain: the microworld's encoder from scratch, as the first step of a study that asks for it."""

from __future__ import annotations

from typing import Any, ClassVar

from xstilts.step import Step, Work


class Pretrain(Step):
    """Masked and translation language modelling on the microworld's text."""

    kind: ClassVar[str] = "Pretrain"

    world: int
    """Version of the generator."""
    recipe: dict[str, Any]
    """Fields of `xstilts.sources.microworld.recipe.Recipe`; its defaults fill the rest."""

    def run(self, work: Work) -> None:
        """Writes `checkpoint/`: config, float16 weights, tokenizer and `origin.json`."""
        from xstilts.sources.microworld.pretrain import pretrain, save
        from xstilts.sources.microworld.recipe import Recipe
        from xstilts.store import versions
        from xstilts.training.state import Keeper

        recipe = Recipe(**self.recipe)
        keeper = Keeper(work.partial, work.save_every, versions())
        model, losses = pretrain(recipe, work.progress, keeper)
        work.notes.update(examples=recipe.steps * recipe.batch, optimiser_steps=len(losses))
        save(model, work.out / "checkpoint", recipe, losses)
