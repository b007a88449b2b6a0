"""The token cache: what rows are to an encoder, tokenised once and read from a memory-mapped file ever after.

    STORE/tokens/<key[:2]>/<key>.arrow      an Arrow IPC file of features, and after it the sha256 of all of it

A key is a hash of everything that features depend on, so a file is never out of date, only of no more use. One that is
not what was written is made anew, and where none can be written the step goes on without. Two processes that make the
same file put the same bytes there.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from xstilts.metrics import sets
from xstilts.step import canonical, fingerprint
from xstilts.store.hashes import sha256_of, sha256_of_files
from xstilts.store.manifest import versions
from xstilts.tasks import shapes
from xstilts.tasks.rows import PORTION, Row, Rows
from xstilts.tasks.shapes import Shape, Spec
from xstilts.training import features
from xstilts.training.features import SCHEMA, Features, batch_of

log = logging.getLogger("xstilts")

_DECODING = frozenset(
    ("dropout", "n_best", "layer", "pooling", "temperature", "null_threshold", "neighbours", "mask_rate", "threshold")
)
"""Fields of `Spec` that no shape reads when it encodes."""
_TOKENISERS = ("transformers", "tokenizers")
_CODE = [Path(str(module.__file__)) for module in (features, sets)]
_CODE += [Path(__file__), *sorted(Path(shapes.__file__).parent.glob("*.py"))]
"""What features are made by: a changed line makes them anew, so that none is ever read that today's code would not
make."""
_SEAL = hashlib.sha256().digest_size


def tokenise(
    folder: Path | None, shape: Shape, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool
) -> Features:
    """The features of rows, from the cache in `folder` where they are in it, and else put there; None: they are held in
    memory, as small as in a file.

    Rows are encoded `PORTION` at a time, and a `Rows` is not read where the cache has its features. Raises whatever
    the shape raises, and `StepFailed` for features that JSON cannot hold.
    """
    batches = partial(_batches, shape, rows, tokenizer, spec, training)
    if folder is not None:
        key = _key(shape, rows, tokenizer, spec, training)
        file = folder / key[:2] / f"{key}.arrow"
        if (found := _read(file, key)) is not None:
            return found
        try:
            _write(file, key, batches())
        except OSError as error:
            # a full disk or a store that is read only is no reason to fail; rows that cannot be read fail below too
            log.warning("tokens cannot be kept (%s); the step goes on without", error)
        if (found := _read(file, key)) is not None:
            return found
    sink = pa.BufferOutputStream()
    _put(sink, SCHEMA, batches())
    return _features(pa.ipc.open_file(sink.getvalue()))


def _key(shape: Shape, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> str:
    return fingerprint({
        "tokenizer": _identity(tokenizer),
        "versions": [versions()[name] for name in _TOKENISERS],
        "shape": shape.name,
        "code": sha256_of_files([*_CODE, Path(inspect.getfile(type(shape)))]),
        "spec": {name: value for name, value in asdict(spec).items() if name not in _DECODING},
        "training": training,
        "rows": rows.identity if isinstance(rows, Rows) else _sha256_of(map(canonical, rows)),
    })  # fmt: skip


_identities: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _identity(tokenizer: Any) -> str:
    """A hash of all that makes a tokenizer tokenise as it does, computed once for each."""
    if tokenizer not in _identities:
        whole = tokenizer.backend_tokenizer.to_str()
        # before them stand truncation and padding: what the last call asked for, which the next one sets anew
        backend = whole[whole.index('"added_tokens"') :]
        settings = [tokenizer.model_input_names, tokenizer.truncation_side, tokenizer.split_special_tokens]
        special = {name: str(piece) for name, piece in tokenizer.special_tokens_map.items()}
        _identities[tokenizer] = _sha256_of([type(tokenizer).__name__, backend, canonical([settings, special])])
    return _identities[tokenizer]


def _sha256_of(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _batches(shape: Shape, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> Iterator[pa.RecordBatch]:
    portions = (
        rows.portions() if isinstance(rows, Rows) else (rows[i : i + PORTION] for i in range(0, len(rows), PORTION))
    )
    start = 0
    for portion in portions:
        yield batch_of(shape.encode(portion, tokenizer, spec, training), start)
        start += len(portion)


def _write(file: Path, key: str, batches: Iterable[pa.RecordBatch]) -> None:
    """Raises `OSError` where there is no room, or no right to write."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{key[:12]}-{uuid.uuid4().hex[:8]}")
    try:
        with pa.OSFile(str(new), "wb") as sink:
            _put(sink, SCHEMA.with_metadata({"key": key}), batches)
        seal = bytes.fromhex(sha256_of(new))
        with new.open("ab") as end:
            end.write(seal)
        new.rename(file)
    finally:
        new.unlink(missing_ok=True)


def _put(sink: Any, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    with pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _read(file: Path, key: str) -> Features | None:
    """The features in a file; None where there is none, or where it is not what was written."""
    try:
        mapped = pa.memory_map(str(file))
        content = mapped.size() - _SEAL
        whole = mapped.read_buffer()
        if content < 0 or hashlib.sha256(whole[:content]).digest() != whole[content:].to_pybytes():
            raise ValueError("its bytes are not those that were written")
        reader = pa.ipc.open_file(whole[:content])
        if not reader.schema.equals(SCHEMA.with_metadata({"key": key}), check_metadata=True):
            raise ValueError("it is that of other rows")
        return _features(reader)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, pa.ArrowException) as reason:
        log.warning("the tokens %s are made anew: %s", file.name, reason)
        return None


def _features(reader: Any) -> Features:
    batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    for batch in batches:
        batch.validate(full=True)  # a place outside of the file would be read all the same
    return Features(batches)
