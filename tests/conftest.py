"""What several rooms of tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from xstilts.sources.microworld import ENCODER
from xstilts.study import Study

# these machines are shared: how long an example takes says nothing of the code
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("XSTILTS_DATA") or REPOSITORY.parent / "shared" / "data")
MODELS = Path(os.environ.get("XSTILTS_MODELS") or REPOSITORY.parent / "shared" / "models")


def mini(**changes: Any) -> Study:
    """A study of the microworld that runs in seconds."""
    fields: dict[str, Any] = {
        "name": "mini",
        "model": "microworld",
        "source": "microworld",
        "languages": ["en", "qaa"],
        "intermediates": ["mw_nli"],
        "targets": ["mw_entailment"],
        "settings": {
            "default": {"train_rows": 24, "test_rows": 16, "epochs": 1, "batch_size": 8, "max_length": 96,
                        "learning_rate": 1e-3},
        },
    }  # fmt: skip
    return Study.model_validate({**fields, **changes})


@pytest.fixture(scope="session")
def loaded() -> tuple[Any, Any]:
    """(encoder, tokenizer) of the microworld. Do not train it: it is shared."""
    from xstilts.models.encoder import load_encoder

    return load_encoder(str(ENCODER), "", None)


@pytest.fixture(scope="session")
def real() -> tuple[Any, Any]:
    """(encoder, tokenizer) trained on real text, where the folder is there."""
    folder = MODELS / "natural-16"
    if not folder.is_dir():
        pytest.skip(f"no model folder {folder}; set XSTILTS_MODELS to run this on a real encoder")
    from xstilts.models.encoder import load_encoder

    return load_encoder(str(folder), "", None)
