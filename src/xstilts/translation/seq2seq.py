"""Backend `transformers`: sequence-to-sequence models of Hugging Face (NLLB, M2M100, OPUS-MT). safetensors only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.translation import Backend
from xstilts.translation.neural import (
    Neural,
    hub_model,
    load_tokenizer,
    loading,
    local_model,
    model_name,
    model_options,
)

if TYPE_CHECKING:
    from xstilts.arms import Translation


def _identify(translation: Translation, language: str, source: str, folder: Path) -> tuple[str, str]:
    name = model_name(translation, language)
    return local_model(name, folder, "*.safetensors") or hub_model(name, translation.revision, folder)


class Seq2Seq:
    """Beam search without sampling, in float32."""

    def __init__(self, identity: str, location: str, language: str, options: dict[str, Any]) -> None:
        """Loads the model, at the revision that the identity names. Raises `UserError` where that is impossible."""
        import torch
        from transformers import AutoModelForSeq2SeqLM

        revision = identity.rpartition("@")[2] if identity.startswith("hub:") else None
        self._neural = Neural(load_tokenizer(location, revision), language, options.get("code"))
        with loading(location):
            model = AutoModelForSeq2SeqLM.from_pretrained(
                location,
                revision=revision or "main",
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
            )
        torch.set_num_threads(1)  # as everywhere: sums, and so beams, may differ with the number of threads
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = model.to(self._device).eval()
        self._beams: int = options["beams"]

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        return self._neural.run(texts, self._generate, getattr(self._model.config, "max_position_embeddings", 512))

    def _generate(self, sources: list[list[int]], most: int) -> list[list[int] | None]:
        import torch

        tokenizer, first = self._neural.tokenizer, self._neural.direction.first
        longest = max(map(len, sources))
        padded = [ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in sources]
        mask = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in sources]
        forced = {} if first is None else {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(first)}
        with torch.inference_mode():
            outputs = self._model.generate(
                input_ids=torch.tensor(padded, device=self._device),
                attention_mask=torch.tensor(mask, device=self._device),
                num_beams=self._beams,
                do_sample=False,
                max_new_tokens=most,
                **forced,
            ).tolist()
        # the first piece starts the decoder, and is the end piece in some models
        end = tokenizer.eos_token_id
        return [ids[1:] if end in ids[1:] else None for ids in outputs]


BACKEND = Backend(identify=_identify, options=model_options, load=Seq2Seq)
