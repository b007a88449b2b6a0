"""Passes that are captured and replayed on a GPU are the passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import mini
from tests.spec.test_hidden import encoder
from torch import Tensor

from xstilts.models.encoder import load_encoder
from xstilts.plan import plan
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.steps.train import Train
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Reads, Spec
from xstilts.training import loop
from xstilts.training.drawing import Learner
from xstilts.training.graphs import Graphs, can_capture
from xstilts.training.hidden import hidden_states
from xstilts.training.loop import train

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
RECIPE = next(s for s in plan(mini()).steps.values() if isinstance(s, Train)).recipe


def test_there_are_none_on_a_processor() -> None:
    """Graphs are of a GPU, of encoders whose passes do not depend on the numbers, with room for the padding."""
    gpu = torch.device("cuda")
    assert not can_capture(encoder("xlm-roberta"), torch.device("cpu"))
    assert can_capture(encoder("xlm-roberta"), gpu) and not can_capture(encoder("deberta-v2"), gpu)
    narrow = encoder("bert")
    assert can_capture(narrow, gpu)
    narrow.config.max_position_embeddings = 41
    assert not can_capture(narrow, gpu)


def batches() -> Iterator[dict[str, Tensor]]:
    """Batches of two sizes in turns, with and without padding."""
    draw = torch.Generator().manual_seed(0)
    for length, stop in ((16, 9), (8, 8), (16, 16), (8, 3), (16, 12)):
        mask = torch.ones(4, length, dtype=torch.long)
        mask[1:, stop:] = 0
        ids = torch.randint(5, 90, (4, length), generator=draw).masked_fill(mask == 0, 1)
        yield {"input_ids": ids.cuda(), "attention_mask": mask.cuda()}


@on_gpu
@pytest.mark.parametrize("reads", ["first", "pieces", "layer"])
@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_hidden_states_and_gradients_are_those_without_graphs(kind: str, reads: Reads) -> None:
    """For sizes in turns, also where some layers are not reached and get no gradient."""
    plain, graphed, graphs = encoder(kind).cuda().train(), encoder(kind).cuda().train(), Graphs()
    for batch in batches():
        for model, read in ((plain, hidden_states), (graphed, graphs)):
            model.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                hidden = read(model, batch, reads, 1)
            (hidden.float() * torch.linspace(-1, 1, hidden.shape[-1], device="cuda")).sum().backward()
        for (name, one), two in zip(plain.named_parameters(), graphed.parameters(), strict=True):
            assert (one.grad is None) == (two.grad is None), name
            if one.grad is not None and two.grad is not None:
                torch.testing.assert_close(two.grad, one.grad, rtol=2e-2, atol=2e-2 * float(one.grad.abs().max()))
    assert len(graphs) == 2


@on_gpu
def test_dropout_goes_its_own_way(tmp_path: Path) -> None:
    """Every replay draws anew, the same from the same state of the generator, and capturing draws nothing."""
    model, graphs = encoder("xlm-roberta", dropout=0.5).cuda().train(), Graphs()
    (batch, *_) = batches()
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    first = graphs(model, batch, "pieces", -1).clone()
    second = graphs(model, batch, "pieces", -1).clone()
    torch.cuda.set_rng_state(before)
    again = [graphs(model, batch, "pieces", -1).clone() for _ in range(2)]
    assert not torch.equal(first, second)
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])


@on_gpu
@pytest.mark.parametrize("task", ["mw_entailment", "mw_pos", "mw_questions", "mw_choice"])
def test_a_training_is_the_same_with_and_without(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses and weights are those of a training without graphs but for rounding; two trainings are bit-equal."""
    runs = []
    for graphs in (True, True, False):
        if not graphs:
            monkeypatch.setattr(loop, "can_capture", lambda *_: False)
        model, tokenizer = load_encoder(str(ENCODER), "", None)
        model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        declared = get_task(task)
        recipe: dict[str, Any] = {**RECIPE, "stride": 64, "max_query": 32, "max_answer": 12, "dropout": 0.0}
        spec = Spec.of(recipe, declared.labels, model.config.num_hidden_layers)
        rows = get_source("microworld").rows(declared, "train", "en")[:40]
        learner = Learner("", "", SHAPES.get(declared.shape), spec, rows)
        trained = train(model, tokenizer, [learner], recipe, 1, "float32", tmp_path / "log", lambda d, t: None)
        assert bool(trained.notes.get("graphs")) is graphs
        runs.append((trained.losses[""], trained.encoder.state_dict()))
    assert runs[0][0] == runs[1][0] and all(torch.equal(t, runs[1][1][name]) for name, t in runs[0][1].items())
    assert runs[0][0] == pytest.approx(runs[2][0], rel=1e-3)
    for name, weight in runs[0][1].items():
        torch.testing.assert_close(weight, runs[2][1][name], rtol=1e-2, atol=2e-4, msg=name)
