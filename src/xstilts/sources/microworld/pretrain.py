"""Pretrains the microworld's encoder: masked and translation language modelling on its generated text.

It is the effect of the step `Pretrain`. The shipped encoder is the output of `studies/microworld-encoder.yaml`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM
from transformers.utils.logging import disable_progress_bar

from xstilts.sources.microworld import LANGUAGES, MICROWORLD_TASKS, VERSION, Microworld
from xstilts.sources.microworld.embeddings import TiedEmbeddings
from xstilts.sources.microworld.muon import Muon
from xstilts.sources.microworld.recipe import Recipe
from xstilts.sources.microworld.tokenizer import MAX_LENGTH, SPECIALS, build_tokenizer
from xstilts.training.state import Keeper, State, optimiser_state, restore_optimiser

_PAD, _MASK = SPECIALS.index("<pad>"), SPECIALS.index("<mask>")


def build_model(recipe: Recipe, vocabulary: int) -> XLMRobertaForMaskedLM:
    """A randomly initialised encoder of XLM-R's architecture."""
    torch.manual_seed(recipe.seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary, hidden_size=recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, intermediate_size=4 * recipe.width,
        max_position_embeddings=MAX_LENGTH + 2, type_vocab_size=1, pad_token_id=_PAD, bos_token_id=0,
        eos_token_id=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.05,
        layer_norm_eps=1e-5, tie_word_embeddings=False,
    )  # fmt: skip
    model = XLMRobertaForMaskedLM(config)
    model.roberta.embeddings.position_embeddings.weight.data.mul_(0.5)  # what a word is outweighs where it is
    return model


def encode_text(tokenizer: PreTrainedTokenizerFast, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Piece ids of every pretraining row, and which rows are pairs; languages by their share of the text."""
    task = next(task for task in MICROWORLD_TASKS if task.shape == "mlm")
    texts: list[str | tuple[str, str]] = []
    for language in LANGUAGES.values():
        rows = Microworld().rows(task, "train", language.code)
        rows = rows[: round(len(rows) * language.share)]
        texts += [(row["text_a"], row["text_b"]) if row["text_b"] else row["text_a"] for row in rows]
    random.Random(seed).shuffle(texts)
    encodings = tokenizer.backend_tokenizer.encode_batch_fast(texts)
    ids = [np.array(encoding.ids[:MAX_LENGTH], dtype=np.int64) for encoding in encodings]
    return ids, np.array([isinstance(text, tuple) for text in texts])


def batches(ids: list[np.ndarray], size: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers of batches of similar length, without end; every epoch in another order."""
    lengths = np.array([len(row) for row in ids])
    while True:
        order = np.argsort(lengths + draw.random(len(ids)) * 3, kind="stable")
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        for index in draw.permutation(len(groups)):
            yield groups[index]


def mask(inputs: np.ndarray, share: np.ndarray, vocabulary: int, draw: np.random.Generator) -> np.ndarray:
    """Mask `inputs` (rows, length) in place, each row at its share; returns which positions are predicted.

    Of the positions predicted 80 % become the mask, 10 % a random piece, 10 % stay.
    """
    chosen = (inputs >= len(SPECIALS)) & (draw.random(inputs.shape) < share[:, None])
    fate = draw.random(inputs.shape)
    inputs[chosen & (fate < 0.8)] = _MASK
    replaced = chosen & (fate >= 0.8) & (fate < 0.9)
    inputs[replaced] = draw.integers(len(SPECIALS), vocabulary, int(replaced.sum()))
    return chosen


def pretrain(
    recipe: Recipe, progress: Callable[[int, int], None], keeper: Keeper
) -> tuple[XLMRobertaForMaskedLM, list[float]]:
    """Train an encoder; returns it with the loss of every step. `progress` counts (rows seen, rows in all). `keeper`
    saves the state and has that of a run that was broken off, which is gone on from to the very same bits."""
    torch.set_num_threads(1)  # sums, and so weights, differ with the number of threads
    tokenizer = build_tokenizer()
    ids, pairs = encode_text(tokenizer, recipe.seed)
    model = build_model(recipe, len(tokenizer)).train()
    words, predicted = (TiedEmbeddings(tokenizer, recipe.width, scale=0.1, seed=recipe.seed) for _ in range(2))
    draw = np.random.default_rng(recipe.seed)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "encoder" in n]
    tied = (model.get_input_embeddings().weight, model.lm_head.decoder.weight)
    inside = {id(p) for p in (*matrices, *tied)}
    others = [p for p in model.parameters() if id(p) not in inside]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW([*others, words.concepts, *predicted.parameters()], lr=recipe.rate, betas=(0.9, 0.98)),
        # what sets a word apart from its translations is learned slowly
        torch.optim.AdamW([words.own, words.languages], lr=recipe.rate / 10, betas=(0.9, 0.98)),
        Muon(matrices, lr=recipe.muon_rate),
    ]
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    learned = [*model.parameters(), *words.parameters(), *predicted.parameters()]
    state = keeper.find()
    begin, losses = 0, list[float]()
    if state is not None:
        _restore(state, learned, optimizers)
        begin, losses, state = state.step, state.facts["losses"], None
    for step, rows in enumerate(islice(batches(ids, recipe.batch, draw), recipe.steps)):
        inputs = np.full((len(rows), max(len(ids[row]) for row in rows)), _PAD, dtype=np.int64)
        for number, row in enumerate(rows):
            inputs[number, : len(ids[row])] = ids[row]
        gold, attention = inputs.copy(), inputs != _PAD
        share = np.where(pairs[rows], recipe.masked_pairs, recipe.masked)
        chosen = torch.from_numpy(mask(inputs, share, len(tokenizer), draw))
        if step < begin:
            continue  # learned from already; drawn again, since everything is drawn from one generator
        hidden = model.roberta(
            inputs_embeds=torch.nn.functional.embedding(torch.from_numpy(inputs), words()),
            attention_mask=torch.from_numpy(attention.astype(np.int64)),
        ).last_hidden_state
        head = model.lm_head
        features = head.layer_norm(torch.nn.functional.gelu(head.dense(hidden[chosen])))
        scores = features @ predicted().T + head.bias
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(gold)[chosen])
        factor = min(1.0, (step + 1) / (0.04 * recipe.steps)) * (1 - step / recipe.steps)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * factor
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
        progress((step + 1) * recipe.batch, recipe.steps * recipe.batch)
        if keeper.due(step + 1):
            keeper.save(step + 1, _state(learned, optimizers), {"losses": losses})
    model.get_input_embeddings().weight.data.copy_(words())
    model.lm_head.decoder.weight.data.copy_(predicted())
    model.lm_head.decoder.bias.data.copy_(model.lm_head.bias)
    return model.eval(), losses


def _state(learned: list[torch.nn.Parameter], optimizers: list[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """Everything that changes from step to step, but for what is drawn."""
    tensors = {f"weight.{i}": parameter.detach() for i, parameter in enumerate(learned)}
    for i, optimizer in enumerate(optimizers):
        tensors |= {f"{i}.{name}": tensor for name, tensor in optimiser_state(optimizer).items()}
    return tensors


@torch.no_grad()
def _restore(state: State, learned: list[torch.nn.Parameter], optimizers: list[torch.optim.Optimizer]) -> None:
    for i, parameter in enumerate(learned):
        parameter.copy_(state.tensors[f"weight.{i}"])
    for i, optimizer in enumerate(optimizers):
        own = {name.removeprefix(f"{i}."): t for name, t in state.tensors.items() if name.startswith(f"{i}.")}
        restore_optimiser(optimizer, own)


def save(model: XLMRobertaForMaskedLM, folder: Path, recipe: Recipe, losses: list[float]) -> None:
    """Write the encoder in float16 with its tokenizer and, in `origin.json`, how it was made."""
    recent = losses[-200:]
    origin = {"world": VERSION, "recipe": vars(recipe), "final_loss": round(sum(recent) / len(recent), 4)}
    folder.mkdir(parents=True, exist_ok=True)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    disable_progress_bar()
    model.half().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    (folder / "origin.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
