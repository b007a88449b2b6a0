"""Zero-shot evaluation of one checkpoint: python benchmarks/speed/evaluation.py [--rows N] [--results FILE]

A tagger trained on a few English sentences reads real PAN-X rows in 40 languages, clean and under four perturbations.
xstilts does it in one step and one process. Scripts of the field take one data folder at a time: a process for each
language and setting, which loads the model, pads to 128 pieces and computes in float32, in batches of 32. Some of these
200 processes are run, spread over languages and settings, and their mean is taken for all: they are alike but for their
rows. One thread each, start and imports of every process counted; the middle of several repetitions.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import DATA, SMALL, alone, merge, ratio, show, spread

SETTINGS = {"insert": [0.05, 0.1, 0.15, 0.2]}
BATCH, LENGTH = 32, 128


def main() -> None:
    """Make a checkpoint, measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50, help="sentences per language")
    parser.add_argument("--languages", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4, help="how many of the scripts' processes a repetition runs")
    parser.add_argument("--growth", action="store_true", help="also how the cost grows with languages and settings")
    parser.add_argument("--results", type=Path, help="a JSON file to merge the figures into")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        what = json.loads(asked.measure)
        print(json.dumps({"seconds": ours(what) if what["who"] == "ours" else theirs(what)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), asked)
        if asked.growth:
            found["growth"] = growth(Path(folder), asked)
    merge(asked.results, "evaluation", found)


def compare(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """One step against a process for each language and setting."""
    file = prepare(folder / "compared", asked.rows, asked.languages, SETTINGS)
    parts = [(language, setting) for language in languages_of(file) for setting in range(5)]
    some = [parts[i * len(parts) // asked.processes + i % 5] for i in range(asked.processes)]
    one, many = [], []
    for i in range(asked.repetitions):
        one.append(seconds("ours", file))
        each = [seconds("theirs", file, language=language, setting=setting) for language, setting in some]
        many.append(len(parts) * sum(each) / len(each))
        print(f"{i + 1} of {asked.repetitions}: {one[-1]:.1f} s against {many[-1]:.0f} s", file=sys.stderr, flush=True)
    times = ratio(many, one)
    print(
        f"{asked.languages} languages x 5 settings, {asked.rows} sentences each: {show(spread(one), 1)} s in one step, "
        f"{show(spread(many), 0)} s in {len(parts)} processes: {show(times, 1)} times faster"
    )
    return {
        "rows": asked.rows, "languages": asked.languages, "settings": 5, "processes_run": asked.processes,
        "seconds": spread(one), "seconds_of_scripts": spread(many), "times_faster": times,
    }  # fmt: skip


def growth(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the step for more and more languages (clean alone), and for more and more settings (10 languages)."""
    kinds: dict[str, list[list[float]]] = {"languages": [], "settings": []}
    for count in (5, 10, 20, 40):
        file = prepare(folder / f"languages-{count}", asked.rows, count, {})
        kinds["languages"].append([count, *(seconds("ours", file) for _ in range(asked.repetitions))])
    for count in range(5):
        rates = SETTINGS["insert"][:count]
        file = prepare(folder / f"settings-{count}", asked.rows, 10, {"insert": rates} if rates else {})
        kinds["settings"].append([1 + count, *(seconds("ours", file) for _ in range(asked.repetitions))])
    found = {}
    for kind, points in kinds.items():
        found[kind] = [{"n": int(n), "seconds": spread(times)} for n, *times in points]
        print(f"{kind}: " + ", ".join(f"{one['n']}: {show(one['seconds'], 1)} s" for one in found[kind]))
    return found


def prepare(folder: Path, rows: int, languages: int, perturbations: dict[str, list[float]]) -> Path:
    """The study file of an evaluation, run once: its store has all but what is measured anew."""
    import yaml

    from xstilts.tasks import get_task

    folder.mkdir()
    study = {
        "name": "evaluation", "model": str(SMALL), "data": str(DATA), "intermediates": ["none"], "targets": ["panx"],
        "languages": list(get_task("panx").languages)[:languages], "seeds": [1], "stand_ins": {"panx.test": "panx.dev"},
        "settings": {"default": {"epochs": 1, "batch_size": 8, "learning_rate": 3e-4, "max_length": LENGTH,
                                 "train_rows": 64, "test_rows": rows}},
        **({"perturbations": perturbations} if perturbations else {}),
    }  # fmt: skip
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study), "utf-8")
    command = [
        sys.executable,
        "-m",
        "xstilts",
        "run",
        str(file),
        "--store",
        str(folder / "store"),
        "--out",
        str(folder / "report"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return file


def languages_of(file: Path) -> list[str]:
    """The languages of a study of `prepare`."""
    import yaml

    found: list[str] = yaml.safe_load(file.read_text("utf-8"))["languages"]
    return found


def seconds(who: str, file: Path, **what: Any) -> float:
    """Of a whole process."""
    began = time.perf_counter()
    alone(__file__, {"who": who, "file": str(file), **what})
    return time.perf_counter() - began


def step_of(file: str) -> tuple[Any, Any]:
    """(store, prediction step) of a study of `prepare`."""
    from xstilts.plan import plan
    from xstilts.steps.predict import Predict
    from xstilts.store import Store
    from xstilts.study import Study

    steps = plan(Study.load(file)).steps.values()
    return Store(Path(file).parent / "store").open(), next(step for step in steps if isinstance(step, Predict))


def ours(what: dict[str, Any]) -> float:
    """Publish the predictions anew; returns the seconds of the step itself."""
    store, step = step_of(what["file"])
    if (there := store.of(step)).is_dir():
        shutil.rmtree(there)
    began = time.perf_counter()
    store.publish(step, "")
    return time.perf_counter() - began


def theirs(what: dict[str, Any]) -> float:
    """Predict the rows of one language and setting as a script of the field does."""
    began = time.perf_counter()
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    from xstilts.steps.perturb import read_perturbed
    from xstilts.steps.prepare import read_rows
    from xstilts.steps.train import checkpoint_folder

    store, step = step_of(what["file"])
    torch.set_num_threads(what["threads"])
    if what["setting"]:
        rows = read_perturbed(store, step.perturbed[what["setting"] - 1][1])[what["language"]]
    else:
        rows = read_rows(store, (dict(step.data)[what["language"]],), 0, step.rows)
    folder = checkpoint_folder(store, step.checkpoint, None)
    tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    head = load_file(folder / "head.safetensors")
    answers = []
    with torch.no_grad():
        for start in range(0, len(rows), BATCH):
            words = [row["tokens"] for row in rows[start : start + BATCH]]
            batch = tokenizer(words, is_split_into_words=True, truncation=True, max_length=LENGTH,
                              padding="max_length", return_tensors="pt")  # fmt: skip
            hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            answers += (hidden @ head["out.weight"].T + head["out.bias"]).argmax(-1).tolist()
    if len(answers) != len(rows):
        raise SystemExit("some rows have no answer")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
