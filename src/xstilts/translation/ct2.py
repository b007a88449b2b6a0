"""Backend `ctranslate2`: the models of `transformers`, converted, several times as fast on processors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.errors import UserError
from xstilts.translation import Backend
from xstilts.translation.neural import Neural, load_tokenizer, loading, local_model, model_name, model_options

if TYPE_CHECKING:
    from xstilts.arms import Translation

_LIMIT = 512
"""Longest source and translation in pieces: OPUS-MT's, which a converted model no longer says."""


def _identify(translation: Translation, language: str, source: str, folder: Path) -> tuple[str, str]:
    name = model_name(translation, language)
    if find_spec("ctranslate2") is None:
        raise UserError("translation backend 'ctranslate2' is not installed", remedy="pip install 'xstilts[translate]'")
    found = local_model(name, folder, "model.bin")
    if found is None:
        remedy = (
            "convert a model into one: ct2-transformers-converter --model ID --output_dir FOLDER, then save its "
            "tokenizer there"
        )
        raise UserError(f"no folder {(folder / name).resolve()} of a converted model", remedy=remedy)
    return found


class CTranslate2:
    """Beam search without sampling, in the precision that the model was converted to."""

    def __init__(self, identity: str, location: str, language: str, options: dict[str, Any]) -> None:
        """Loads the model. Raises `UserError` where that is impossible."""
        import ctranslate2

        self._neural = Neural(load_tokenizer(location, None), language, options.get("code"))
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        with loading(location):
            self._model = ctranslate2.Translator(location, device=device, inter_threads=1, intra_threads=1)
        self._beams: int = options["beams"]

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        return self._neural.run(texts, self._generate, _LIMIT)

    def _generate(self, sources: list[list[int]], most: int) -> list[list[int] | None]:
        tokenizer, first = self._neural.tokenizer, self._neural.direction.first
        results = self._model.translate_batch(
            [tokenizer.convert_ids_to_tokens(ids) for ids in sources],
            target_prefix=None if first is None else [[first]] * len(sources),
            beam_size=self._beams,
            max_decoding_length=most,
            max_input_length=0,
            return_end_token=True,
        )
        best = [tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results]
        return [ids if tokenizer.eos_token_id in ids else None for ids in best]


BACKEND = Backend(identify=_identify, options=model_options, load=CTranslate2)
