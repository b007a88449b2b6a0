"""What a training promises: the same twice, honest when it breaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import mini

from xstilts.errors import StepFailed, UserError
from xstilts.models.encoder import load_encoder, sha256_of_weights
from xstilts.plan import plan
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.steps.train import Train
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Feature, Pieces, Spec
from xstilts.training.drawing import Learner
from xstilts.training.forward import arithmetic, check_length, collate, forward
from xstilts.training.inference import predict
from xstilts.training.loop import train

RECIPE = next(s for s in plan(mini()).steps.values() if isinstance(s, Train)).recipe


def run(
    task: str, seed: int, log: Path, precision: str = "float32", rows: int = 24, dropout: bool = True, **changes: Any
) -> tuple[Any, ...]:  # fmt: skip
    encoder, tokenizer = load_encoder(str(ENCODER), "", None)
    if not dropout:
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    declared = get_task(task)
    data = get_source("microworld").rows(declared, "train", "en")[:rows]
    recipe = {**RECIPE, "stride": 64, "max_query": 32, "max_answer": 12, "temperature": 0.05, **changes}
    spec = Spec.of(recipe, declared.labels, encoder.config.num_hidden_layers)
    learner = Learner("", "", SHAPES.get(declared.shape), spec, data)
    trained = train(encoder, tokenizer, [learner], recipe, seed, precision, log, lambda d, t: None)
    return trained.encoder, tokenizer, trained.heads[""], spec, trained.notes


@pytest.mark.parametrize("task", ["mw_nli", "mw_pos", "mw_squad", "mw_choice"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(task: str, tmp_path: Path) -> None:
    """Two trainings with one seed give bit-identical encoders and heads; another seed gives others."""
    hashes = []
    for seed in (1, 1, 2):
        encoder, _, head, *_ = run(task, seed, tmp_path / "log")
        hashes.append((sha256_of_weights(encoder), sha256_of_weights(head)))
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0] and hashes[0][1] != hashes[2][1]


def test_a_loss_that_is_not_finite_fails_the_step_and_says_where(tmp_path: Path) -> None:
    """A diverging training fails with the number of the optimiser step and the remedy."""
    with pytest.raises(StepFailed, match=r"loss is (nan|inf) at optimiser step \d+ of \d+; lower learning_rate"):
        run("mw_nli", 1, tmp_path / "log", learning_rate=1e30, epochs=9, clip=1e30)


def test_bfloat16_and_float32_agree_within_noise(tmp_path: Path) -> None:
    """The same training in both arithmetics gives the same answers but for a few. Dropout is off: on a GPU its draws
    depend on the arithmetic."""
    task, rows = get_task("mw_pos"), get_source("microworld").rows(get_task("mw_pos"), "test", "en")[:20]
    answers = []
    for precision in ("float32", "bfloat16"):
        encoder, tokenizer, head, spec, notes = run(
            "mw_pos", 1, tmp_path / "log", precision, rows=48, dropout=False, learning_rate=3e-3
        )
        assert notes["precision"] == precision
        found, _ = predict(encoder, tokenizer, head, SHAPES.get(task.shape), spec, rows, precision)
        answers.append([tag for sentence in found for tag in sentence])
    same = sum(a == b for a, b in zip(*answers, strict=True)) / len(answers[0])
    assert same > 0.95
    assert len(set(answers[0])) > 3


def test_auto_is_one_of_the_two_arithmetics() -> None:
    """`auto` settles on what this machine is faster in, the same at every call."""
    assert arithmetic("auto")[1] == arithmetic("auto")[1] in ("float32", "bfloat16")


def test_padding_changes_nothing(loaded: Any) -> None:
    """A sentence has the same hidden states alone and padded beside a longer one."""
    encoder, tokenizer = loaded
    short, long = (Feature(0, [Pieces(tokenizer(t)["input_ids"], None)]) for t in ("the dog", "the dog " * 12))
    pad, where = tokenizer.pad_token_id, torch.device("cpu")
    with torch.inference_mode():
        alone = encoder(**collate([short], pad, where)).last_hidden_state[0]
        beside = encoder(**collate([short, long], pad, where)).last_hidden_state[0, : len(alone)]
    assert torch.allclose(alone, beside, atol=1e-5)


def test_a_window_longer_than_the_encoder_is_refused(loaded: Any) -> None:
    """Sequences the encoder has no positions for are refused with the longest length that works."""
    with pytest.raises(UserError, match="set max_length to at most"):
        check_length(4000, loaded[0])


def test_a_checkpoint_is_a_hugging_face_folder(tmp_path: Path) -> None:
    """What a training saves, transformers loads, and the weights are those that were trained."""
    from transformers import AutoModel, AutoTokenizer

    from xstilts.models.encoder import StoredHead, load_head, save_checkpoint

    encoder, tokenizer, head, spec, _ = run("mw_nli", 1, tmp_path / "log")
    save_checkpoint(tmp_path / "c", encoder, tokenizer, [StoredHead("", "classify", spec.labels, head)])
    again = AutoModel.from_pretrained(tmp_path / "c", dtype=torch.float32)
    again.pooler = None  # transformers adds one with random weights; nothing reads it
    assert sha256_of_weights(again) == sha256_of_weights(encoder)
    assert AutoTokenizer.from_pretrained(tmp_path / "c")("a dog") == tokenizer("a dog")
    loaded_head, labels = load_head(tmp_path / "c", SHAPES.get("classify"), encoder.config.hidden_size)
    assert sha256_of_weights(loaded_head) == sha256_of_weights(head) and labels == spec.labels


def test_retrieval_runs_only_the_layers_it_reads_and_reads_the_same() -> None:
    """Vectors of a layer are bit-equal to those of the whole encoder, whose later layers do not run and stay."""
    encoder, tokenizer = load_encoder(str(ENCODER), "", None)
    depth, shape, ran = encoder.config.num_hidden_layers, SHAPES.get("retrieve"), []
    rows = get_source("microworld").rows(get_task("mw_retrieval"), "dev", "qaa")[:5]
    spec = Spec(layer=depth // 2)
    features = shape.encode(rows, tokenizer, spec, training=False)
    batch = collate(features, tokenizer.pad_token_id, torch.device("cpu"))
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, layer in enumerate(encoder.encoder.layer)
    ]
    with torch.inference_mode():
        found = forward(encoder, shape.head(1, spec), shape, spec, batch, features)
        assert ran == list(range(depth // 2))
        whole = encoder(**batch, output_hidden_states=True).hidden_states[depth // 2]
    assert torch.equal(found, shape.forward(shape.head(1, spec), whole, batch["attention_mask"], features))
    assert len(encoder.encoder.layer) == depth and len(hooks) == depth


def test_warm_up_in_steps_goes_before_the_share(tmp_path: Path) -> None:
    """With warmup_steps 2 the rate is half its peak at the first step and the whole at the second, whatever the share;
    more warm-up than steps never reaches the peak twice."""
    rates = {}
    for steps in (2, 100):
        log = tmp_path / f"{steps}.jsonl"
        run("mw_nli", 1, log, warmup=0.9, warmup_steps=steps)
        rates[steps] = [json.loads(line)["rate"] / RECIPE["learning_rate"] for line in log.read_text().splitlines()]
    assert rates[2][:2] == [0.5, 1.0] and rates[2][2] < 1
    assert rates[100] == pytest.approx([1 / 3, 2 / 3, 1.0])
