"""Any architecture of multilingual encoder goes through the same code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import mini
from transformers import AutoModel as Auto
from transformers import AutoTokenizer, BertConfig, DebertaV2Config, ModernBertConfig, XLMRobertaConfig

from xstilts.errors import UserError
from xstilts.models.encoder import load_encoder
from xstilts.models.identity import find_model
from xstilts.sources.microworld import ENCODER

SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "pad_token_id": 1,
}  # fmt: skip
CONFIGS = {
    "XLM-R": lambda n: XLMRobertaConfig(vocab_size=n, max_position_embeddings=130, **SMALL),
    "mBERT": lambda n: BertConfig(vocab_size=n, max_position_embeddings=128, **SMALL),
    "mDeBERTa": lambda n: DebertaV2Config(
        vocab_size=n, max_position_embeddings=128, relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_buckets=32, share_att_key=True, norm_rel_ebd="layer_norm", **SMALL,
    ),
    "ModernBERT": lambda n: ModernBertConfig(
        vocab_size=n, max_position_embeddings=128, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
        **SMALL
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_every_architecture_goes_through_a_whole_study(name: str, tmp_path: Path) -> None:
    """XLM-R, mBERT (with segment ids), mDeBERTa (relative positions) and ModernBERT-style encoders are trained,
    saved, loaded and evaluated by the same steps."""
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    if name == "mBERT":
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    Auto.from_config(CONFIGS[name](len(tokenizer))).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    study = mini(
        model=str(tmp_path / "model"), languages=["qaa"], intermediates=["mw_squad"], targets=["mw_pos", "mw_retrieval"]
    )
    from xstilts.api import find_store
    from xstilts.collect import collect_plan
    from xstilts.executors import get_executor
    from xstilts.plan import plan
    from xstilts.schedule import schedule

    store, graph = find_store(tmp_path / "store").open(), plan(study)
    outcome = schedule(graph, store, get_executor("inline", store))
    assert not outcome.failed
    assert set(collect_plan(graph, store).contributions["target"]) == {"mw_pos", "mw_retrieval"}


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    """A model folder with a pickle in place of safetensors is refused, and the pickle is not opened."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    with pytest.raises(UserError, match=r"no \*\.safetensors \(pytorch_model\.bin is a pickle and is never loaded\)"):
        find_model(str(tmp_path), "main", tmp_path)


def test_a_misspelt_model_folder_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    """A path that is no folder is refused before anything runs, with the folders beside it that are near."""
    (tmp_path / "natural-16").mkdir()
    with pytest.raises(UserError, match="no model folder .*did you mean 'natural-16'"):
        find_model("./natural-61", "main", tmp_path)
    with pytest.raises(UserError, match="did you mean 'microworld'"):
        find_model("microwrld", "main", tmp_path)


def test_a_hub_id_is_its_own_identity() -> None:
    """A hub model's identity is its id and revision; nothing is downloaded to plan."""
    model = find_model("xlm-roberta-base", "abc123", Path("/nowhere"))
    assert model.identity == "hub:xlm-roberta-base@abc123"


def test_broken_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    """A truncated safetensors file is the person's to mend, and said in one line."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((ENCODER / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((ENCODER / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot load the encoder"):
        load_encoder(str(tmp_path), "", None)
