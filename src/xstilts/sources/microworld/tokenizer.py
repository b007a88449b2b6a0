"""The encoder's tokenizer: a unigram model over the microworld's own words, endings and letters.

The pieces carry no word-boundary mark, so a word is the same piece in spaced and in unspaced text.
"""

from __future__ import annotations

import string

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xstilts.sources.microworld.words import letters, pieces

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
MAX_LENGTH = 128
"""Longest input, in pieces."""
_WORD, _LETTER = -8.0, -16.0  # log probabilities: fewest pieces win, words before letters


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, made from the lexicon alone and so the same everywhere."""
    single = list(dict.fromkeys(letters() + string.digits + string.punctuation))
    words = [piece for piece in pieces() if len(piece) > 1]
    vocabulary = [(special, 0.0) for special in SPECIALS]
    vocabulary += [(letter, _LETTER) for letter in single] + [(word, _WORD) for word in words]
    model = Tokenizer(models.Unigram(vocabulary, unk_id=SPECIALS.index("<unk>")))
    model.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    model.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=model, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
