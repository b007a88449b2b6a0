"""What the benchmarks of speed share: real rows, encoders, processes of their own, medians, and the file of results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("XSTILTS_DATA") or REPOSITORY.parent / "shared" / "data")
SMALL = Path(os.environ.get("XSTILTS_MODELS") or REPOSITORY.parent / "shared" / "models") / "natural-16"
XLMR_VOCABULARY = 250_002


def arguments(about: str | None) -> argparse.ArgumentParser:
    """What every benchmark with processes of its own is asked: `--results`, and `--measure` by `alone`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="a JSON file to merge the figures into")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser


def read_arguments(parser: argparse.ArgumentParser, measure: Callable[..., dict[str, Any]]) -> argparse.Namespace:
    """The options given. A process that `alone` started prints what `measure` finds and ends here."""
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(**json.loads(asked.measure))))
        raise SystemExit
    return asked


def memory_mb(field: str) -> float:
    """A field of this process's account by Linux (`VmRSS`, `VmHWM`, `RssAnon`), in MB of 1024 KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def spread(values: Sequence[float]) -> dict[str, float]:
    """`median`, `low`, `high` and `n` of what was measured several times."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "n": len(values)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times `slow` is `fast`: the `median` of one over that of the other, and `low` and `high` of the ratios
    inside each repetition, whose two sides met the same load."""
    paired = spread([a / b for a, b in zip(slow, fast, strict=True)])
    return {**paired, "median": statistics.median(slow) / statistics.median(fast)}


def show(found: Mapping[str, float], digits: int = 2) -> str:
    """A spread as one cell of a table."""
    median, low, high = (f"{found[name]:,.{digits}f}" for name in ("median", "low", "high"))
    return median if found["n"] == 1 else f"{median} ({low} to {high})"


def merge(path: Path | None, key: str, found: dict[str, Any]) -> None:
    """Write what a benchmark found under `key` into a JSON file, beside what others wrote there; None: nowhere."""
    if path is None:
        return
    results = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    results[key] = {**found, "command": command(), "machine": machine()}
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    new.replace(path)


def command() -> str:
    """How this process was started, seen from the repository, without where its results go."""
    words = list(sys.argv[1:])
    if "--results" in words:
        at = words.index("--results")
        del words[at : at + 2]
    script = Path(sys.argv[0]).resolve()
    here = script.relative_to(REPOSITORY) if script.is_relative_to(REPOSITORY) else script.name
    return shlex.join(["python", str(here), *(word for word in words if not word.startswith("--results="))])


def machine() -> dict[str, Any]:
    """Device, processor, memory in GiB, versions and date."""
    import torch

    from xstilts.store import versions

    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "processor": _processor(), "processors": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "versions": versions(), "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _processor() -> str:
    """The maker's name of the processor and which units for bfloat16 it has."""
    model, flags = platform.processor() or platform.machine(), set[str]()
    if (info := Path("/proc/cpuinfo")).is_file():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in fields.items()}
        model, flags = fields.get("model name", model), set(fields.get("flags", "").split())
    units = [name for flag, name in (("avx512_bf16", "AVX-512 bf16"), ("amx_bf16", "AMX bf16")) if flag in flags]
    return f"{model} ({', '.join(units) or 'no bf16 units'})"


def alone(
    script: str, what: dict[str, Any], threads: int = 1, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What `script --measure WHAT` prints as its last line, in a process of its own with `threads` threads."""
    return waited(started(script, what, threads, environment))


def started(
    script: str, what: dict[str, Any], threads: int = 1, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`alone`, not waited for: `waited` does."""
    variables = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        **(environment or {}),
    }
    arguments = [sys.executable, script, "--measure", json.dumps({**what, "threads": threads})]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=variables)


def waited(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a process of `started` found. Exits where it failed, which said why."""
    printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the measurement ended with exit code {process.returncode}: {shlex.join(process.args)}")  # type: ignore[arg-type]
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return found


def in_turns(
    names: Sequence[str], repetitions: int, measure: Callable[[str, int], dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """What `measure(name, repetition)` gives, one after the other and all of it again: so load that changes slowly
    meets all alike."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for i in range(repetitions):
        for name in names:
            found[name].append(measure(name, i))
            print(f"{i + 1} of {repetitions}: {name}", file=sys.stderr, flush=True)
    return found


def xnli_rows(n: int | None = None, language: str = "en", split: str = "dev") -> list[dict[str, Any]]:
    """The first `n` rows of real XNLI (`text_a`, `text_b`, `label`); None: all. Exits where there are fewer."""
    from xstilts.sources import get_source
    from xstilts.tasks import get_task

    rows: list[Any] = get_source("files", DATA).rows(get_task("xnli"), split, language)  # type: ignore[arg-type]
    if n is not None and len(rows) < n:
        raise SystemExit(f"XNLI {split} in {language} has {len(rows)} rows, not {n}: ask for fewer")
    return rows[:n]


def shape_of(name: str, vocabulary: int = XLMR_VOCABULARY, **changes: int) -> dict[str, Any]:
    """The `config.json` of an encoder of a known shape, with changes; one attention head per 64 of the width."""
    from xstilts.models.size import KNOWN

    config = {**KNOWN[name], "vocab_size": vocabulary, **changes}
    return {"num_attention_heads": max(1, config["hidden_size"] // 64), **config}


def random_encoder(shape: dict[str, Any]) -> Any:
    """An encoder of a shape with seeded random weights, without pooler."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    fields = {name: value for name, value in shape.items() if name != "model_type"}
    return AutoModel.from_config(AutoConfig.for_model(shape["model_type"], **fields), add_pooling_layer=False)


def big_encoder(vocabulary: int = XLMR_VOCABULARY) -> tuple[Any, Any]:
    """(encoder of XLM-R-base shape with random weights, its tokenizer)."""
    return random_encoder(shape_of("xlm-roberta-base", vocabulary)), spread_tokenizer(vocabulary)


def small_encoder() -> tuple[Any, Any]:
    """(encoder, tokenizer) with real weights, as a study loads it."""
    from xstilts.models.encoder import load_encoder

    return load_encoder(str(SMALL), "", None)


def spread_tokenizer(vocabulary: int = XLMR_VOCABULARY) -> Any:
    """The small encoder's tokenizer with its pieces spread over `vocabulary` ids, so that an embedding of that size is
    read all over. Between them are pieces that occur in no text; it can be saved and loaded like any other."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    small = AutoTokenizer.from_pretrained(SMALL)
    whole = json.loads(small.backend_tokenizer.to_str())
    pieces = whole["model"]["vocab"]
    special = len(whole["added_tokens"])  # the first ids, which keep their places: config.json names them
    stride = (vocabulary - special) // (len(pieces) - special)
    fillers = ([f"\U0010fffd{i}", -1e4] for i in count())  # a character that is no character
    spread_out = pieces[:special]
    for piece in pieces[special:]:
        spread_out += [piece, *(next(fillers) for _ in range(stride - 1))]
    spread_out += [next(fillers) for _ in range(vocabulary - len(spread_out))]
    whole["model"]["vocab"] = spread_out
    names = {name: getattr(small, name) for name in
             ("bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token")}  # fmt: skip
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=small.model_max_length, **names)
