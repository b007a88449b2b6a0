"""Zero-shot evaluation of one checkpoint: python benchmarks/speed/evaluation.py [--rows N] [--results FILE]

A tagger trained on a few English sentences reads real PAN-X rows in 40 languages, clean and under four perturbations.
xstilts does it in one step and one process. Scripts of the field take one data folder at a time: a process for each
language and setting, which loads the model, pads to 128 pieces and computes in float32, in batches of 32. Theirs knows
nothing of xstilts: it reads rows from a file. Some of these 200 processes are run, spread over languages and settings,
and their mean is taken for all: they are alike but for their rows. One thread each, start and imports of every process
counted; the middle of several repetitions.
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

from common import DATA, SMALL, alone, arguments, in_turns, merge, ratio, read_arguments, show, spread

SETTINGS = {"insert": [0.05, 0.1, 0.15, 0.2]}
BATCH, LENGTH = 32, 128


def main() -> None:
    """Make a checkpoint, measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=50, help="sentences per language")
    parser.add_argument("--languages", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4, help="how many of the scripts' processes a repetition runs")
    parser.add_argument("--growth", action="store_true", help="also how the cost grows with languages and settings")
    asked = read_arguments(parser, measure)
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), asked)
        if asked.growth:
            found["growth"] = growth(Path(folder), asked)
    merge(asked.results, "evaluation", found)


def measure(who: str, **what: Any) -> dict[str, Any]:
    """One contestant's seconds, once."""
    return {"seconds": ours(what) if who == "ours" else theirs(what)}


def compare(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """One step against a process for each language and setting."""
    file = prepare(folder / "compared", asked.rows, asked.languages, SETTINGS)
    parts = export(file)
    some = spread_over(parts, asked.processes)
    one, many = [], []
    for i in range(asked.repetitions):
        one.append(seconds(__file__, who="ours", file=str(file)))
        each = [seconds(__file__, who="theirs", rows=str(part)) for part in some]
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
    """Seconds of the process for more and more languages (clean rows), and for more settings (10 languages)."""
    points = {("languages", n): (n, 0) for n in (5, 10, 20, 40)} | {("settings", n): (10, n - 1) for n in range(1, 6)}
    files = {}
    for (axis, n), (languages, rates) in points.items():
        perturbations = {"insert": SETTINGS["insert"][:rates]} if rates else {}
        files[f"{axis} {n}"] = prepare(folder / f"{axis}-{n}", asked.rows, languages, perturbations)
    found = in_turns(
        list(files), asked.repetitions, lambda name, _: {"s": seconds(__file__, who="ours", file=str(files[name]))}
    )
    grown: dict[str, list[dict[str, Any]]] = {}
    for axis, n in points:
        values = spread([run["s"] for run in found[f"{axis} {n}"]])
        grown.setdefault(axis, []).append({"n": n, "seconds": values})
    for axis, measured in grown.items():
        print(f"{axis}: " + ", ".join(f"{one['n']}: {show(one['seconds'], 1)} s" for one in measured))
    return grown


def prepare(folder: Path, rows: int, languages: int, perturbations: dict[str, list[float]]) -> Path:
    """The study file of an evaluation, run once: its store has all but what is measured anew."""
    import yaml

    folder.mkdir()
    study = {
        "name": "evaluation", "model": str(SMALL), "data": str(DATA), "intermediates": ["none"], "targets": ["panx"],
        "languages": some_languages(languages), "seeds": [1], "stand_ins": {"panx.test": "panx.dev"},
        "settings": {"default": {"epochs": 1, "batch_size": 8, "learning_rate": 3e-4, "max_length": LENGTH,
                                 "train_rows": 64, "test_rows": rows}},
        **({"perturbations": perturbations} if perturbations else {}),
    }  # fmt: skip
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study), "utf-8")
    where = ["--store", str(folder / "store"), "--out", str(folder / "report")]
    command = [sys.executable, "-m", "xstilts", "run", str(file), *where]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"the study of the benchmark did not run:\n{done.stdout}")
    return file


def some_languages(count: int) -> list[str]:
    """The first languages, English among them, of which PAN-X has dev rows at hand. Exits where they are fewer."""
    from xstilts.sources import get_source
    from xstilts.tasks import get_task

    task, source = get_task("panx"), get_source("files", DATA)
    found = ["en", *(code for code in task.all_languages if code != "en" and source.has(task, "dev", code))][:count]
    if len(found) < count:
        raise SystemExit(f"{DATA} has PAN-X in {len(found)} languages, not in {count}: ask for fewer")
    return found


def export(file: Path) -> list[Path]:
    """A file of rows for each language and setting of a study of `prepare`, as a script would be given them; beside
    them lies `checkpoint`."""
    from xstilts.steps.perturb import read_perturbed
    from xstilts.steps.prepare import read_rows
    from xstilts.steps.train import checkpoint_folder

    store, step = step_of(str(file))
    folder = file.parent / "exported"
    folder.mkdir()
    (folder / "checkpoint").symlink_to(str(checkpoint_folder(store, step.checkpoint, None)))
    noisy = [read_perturbed(store, key) for _, key in step.perturbed]
    files = []
    for language, key in step.data:
        for i, rows in enumerate([read_rows(store, (key,), 0, step.rows), *(found[language] for found in noisy)]):
            files.append(folder / f"{language}-{i}.json")
            files[-1].write_text(json.dumps(rows), "utf-8")
    return files


def spread_over(parts: list[Path], count: int) -> list[Path]:
    """`count` of the files of `export`, over all languages, each of the five settings in its turn."""
    return [parts[5 * (i * len(parts) // (5 * count)) + i % 5] for i in range(count)]


def seconds(script: str, **what: Any) -> float:
    """Of a whole process of a script."""
    began = time.perf_counter()
    alone(script, what)
    return time.perf_counter() - began


def step_of(file: str) -> tuple[Any, Any]:
    """(store, prediction step) of a study of `prepare`."""
    from xstilts.plan import plan
    from xstilts.steps.predict import Predict
    from xstilts.store import Store
    from xstilts.study import Study

    steps = plan(Study.load(file)).steps.values()
    return Store(Path(file).parent / "store").open(), next(step for step in steps if isinstance(step, Predict))


def ours(what: dict[str, Any], **changes: Any) -> float:
    """Publish the predictions anew, by the step with some fields changed and nothing tokenised before; returns the
    seconds of the step itself."""
    store, step = step_of(what["file"])
    for there in (store.of(step), store.tokens):
        shutil.rmtree(there, ignore_errors=True)
    began = time.perf_counter()
    store.publish(step.model_copy(update=changes), "")
    return time.perf_counter() - began


def theirs(what: dict[str, Any]) -> float:
    """Predict the rows of a file of `export` as a script of the field does."""
    began = time.perf_counter()
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(what["threads"])
    file = Path(what["rows"])
    rows, folder = json.loads(file.read_text("utf-8")), file.with_name("checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
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
