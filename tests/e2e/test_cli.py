"""The command line as a person meets it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

STUDY = """\
name: mini
model: microworld
source: microworld
languages: [en, qaa, qab]
intermediates: [none, mw_nli]
controls: {shuffled: mw_nli, oracle: true}
targets: [mw_entailment, mw_pos, mw_retrieval]
seeds: [1]
settings:
  default: {train_rows: 32, test_rows: 20, epochs: 1, batch_size: 8, max_length: 96, learning_rate: 1.0e-3}
"""


def xstilts(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", **variables}
    command = [sys.executable, "-m", "xstilts", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has been run."""
    path = tmp_path_factory.mktemp("cli")
    (path / "mini.yaml").write_text(STUDY)
    done = xstilts("run", "mini.yaml", cwd=path)
    assert done.returncode == 0, done.stderr
    return path


def test_help_is_instant_and_imports_no_torch(tmp_path: Path) -> None:
    """`--help` takes under half a second of processor time and imports neither torch nor pandas."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert xstilts("--help", cwd=tmp_path).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.5
    code = "import sys, xstilts.cli; assert not {'torch', 'pandas', 'pyarrow', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_verb_is_in_the_help(tmp_path: Path) -> None:
    """The help names every verb."""
    text = xstilts("--help", cwd=tmp_path).stdout
    verbs = ("demo", "plan", "run", "bench", "status", "report", "predict-gain", "submit", "score", "tasks", "data")
    assert all(verb in text for verb in verbs)


def test_a_run_leaves_the_report_in_its_place(folder: Path) -> None:
    """Without --out the report is in reports/STUDY-NAME with its tables beside it."""
    names = {p.name for p in (folder / "reports" / "mini").iterdir()}
    assert {"report.html", "report.md", "scores.csv", "gains.csv", "predictions.parquet"} <= names
    assert (folder / ".xstilts" / "store" / "logs" / "mini.log").stat().st_size > 0


def test_a_second_run_does_nothing_and_writes_the_same_report(folder: Path) -> None:
    """Run again: no step, the same bytes."""
    report = folder / "reports" / "mini" / "report.html"
    before = report.read_bytes()
    done = xstilts("run", "mini.yaml", "--json", cwd=folder)
    facts = json.loads(done.stdout)
    assert facts["done"] == 0 and facts["reused"] > 20 and not facts["failed"]
    assert report.read_bytes() == before


def test_plan_and_status_say_what_is_done(folder: Path) -> None:
    """`plan` lists every step with its state, what sharing saves and the time left; `status` the totals."""
    plan = json.loads(xstilts("plan", "mini.yaml", "--json", cwd=folder).stdout)
    assert {step["state"] for step in plan["steps"]} == {"done"}
    assert plan["kinds"]["Train"]["steps"] < plan["kinds"]["Train"]["unshared"]
    assert plan["rest"]["seconds"] == 0
    status = xstilts("status", "mini.yaml", cwd=folder)
    assert status.returncode == 0 and "nothing left to do" in status.stdout
    fresh = xstilts("plan", "mini.yaml", "--store", "elsewhere", cwd=folder)
    assert "time left" in fresh.stdout and "to do" in fresh.stdout


def test_a_plan_says_what_it_needs(folder: Path, tmp_path: Path) -> None:
    """Sharing, disk and hours: a guess at first, and measured once the benchmark has run."""
    before = xstilts("plan", "mini.yaml", "--store", str(tmp_path), cwd=folder).stdout
    assert "of the training work saved" in before and "checkpoints kept" in before
    assert "a guess; measure it: xstilts bench --model" in before
    done = xstilts("bench", "mini.yaml", "--seconds", "1", "--store", str(tmp_path), "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert found["written"] == str(tmp_path / "throughput.json") and found["training"]["classify"]["batch"] == 8
    after = json.loads(xstilts("plan", "mini.yaml", "--store", str(tmp_path), "--json", cwd=folder).stdout)
    assert after["compute"]["measured"] and "with xstilts bench" in after["compute"]["how"]
    assert after["compute"]["flops"] == json.loads((tmp_path / "throughput.json").read_text())["flops"]
    assert after["rest"]["seconds"] == pytest.approx(found["meaning_seconds"], abs=0.1)


def test_a_dry_measurement_is_shown_and_not_written(tmp_path: Path) -> None:
    """`bench --dry` prints the table, and as its last line what it means in hours; nothing is written."""
    done = xstilts("bench", "--model", "microworld", "--dry", "--seconds", "1", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert "matrix products" in done.stdout and done.stdout.splitlines()[-1].startswith("a fine-tuning on MNLI")
    assert not list(tmp_path.iterdir())


def test_a_plan_needs_no_data_and_a_run_does(tmp_path: Path) -> None:
    """Over an empty folder `plan` lists what is missing, `run` refuses with one line and exit code 2."""
    (tmp_path / "data").mkdir()
    text = "name: far\nmodel: FacebookAI/xlm-roberta-large\ndata: data\nintermediates: [mnli]\ntargets: [xnli]\n"
    (tmp_path / "far.yaml").write_text(text)
    plan = xstilts("plan", "far.yaml", "--steps", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert "not at hand: mnli train en (looked for " in plan.stdout and "`xstilts run` refuses" in plan.stdout
    for verb in ("run", "status", "report"):
        done = xstilts(verb, "far.yaml", cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, verb


def test_the_store_comes_from_the_option_or_the_environment(folder: Path) -> None:
    """--store wins over XSTILTS_STORE, which wins over .xstilts/store."""
    done = xstilts("status", "mini.yaml", "--json", cwd=folder, XSTILTS_STORE=str(folder / "other"))
    assert json.loads(done.stdout)["kinds"]["Train"]["done"] == 0
    done = xstilts("status", "mini.yaml", "--json", "--store", ".xstilts/store", cwd=folder, XSTILTS_STORE="other")
    assert json.loads(done.stdout)["kinds"]["Train"]["done"] > 0


def test_wrong_input_is_one_line_and_exit_code_2(folder: Path) -> None:
    """A person's mistake is one line on stderr, without a traceback, and exit code 2; nothing is written."""
    (folder / "bad.yaml").write_text(STUDY.replace("mw_pos", "mw_poz").replace("name: mini", "name: bad"))
    for arguments in (("run", "bad.yaml"), ("plan", "bad.yaml"), ("run", "none.yaml"), ("tasks", "mw_poz")):
        done = xstilts(*arguments, cwd=folder)
        assert done.returncode == 2, arguments
        assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.startswith("xstilts: ")
    assert not (folder / "reports" / "bad").exists()
    done = xstilts("run", "mini.yaml", "--executor", "inlin", cwd=folder)
    assert done.returncode == 2 and "did you mean 'inline'" in done.stderr
    done = xstilts("run", "mini.yaml", "--store", "mini.yaml/x", cwd=folder)
    assert done.returncode == 2 and "--store" in done.stderr


def test_a_failed_step_is_exit_code_1_and_the_rest_goes_on(folder: Path) -> None:
    """A loss that is not finite fails its step and what depends on it; other targets are scored; status says why."""
    text = (
        STUDY.replace("name: mini", "name: broken") + "  mw_pos: {learning_rate: 1.0e+30, clip: 1.0e+30, epochs: 9}\n"
    )
    (folder / "broken.yaml").write_text(text)
    done = xstilts("run", "broken.yaml", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "at optimiser step" in done.stderr and "Traceback" not in done.stderr
    assert (folder / "reports" / "broken" / "report.html").is_file()
    assert "mw_entailment" in (folder / "reports" / "broken" / "scores.csv").read_text()
    status = xstilts("status", "broken.yaml", cwd=folder)
    assert "at optimiser step" in status.stdout and "run the study again" in status.stdout


def test_tasks_are_listed_and_shown(tmp_path: Path) -> None:
    """`tasks` lists every task, `tasks NAME` shows one, `--json` gives both as data."""
    assert "xnli" in xstilts("tasks", cwd=tmp_path).stdout
    assert "CC BY" in xstilts("tasks", "xquad", cwd=tmp_path).stdout
    (task,) = json.loads(xstilts("tasks", "tatoeba", "--json", cwd=tmp_path).stdout)
    assert task["shape"] == "retrieve" and "pieces: <s>" in task["example"]["encoded"][0]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    """Stopped by Ctrl-C or killed with -9, the next run completes to the same report and weights, byte for byte."""
    (tmp_path / "mini.yaml").write_text(STUDY)
    command = [sys.executable, "-m", "xstilts", "run", "mini.yaml"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        # a test run in the background passes on that Ctrl-C is ignored; a person's shell does not
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    trained = tmp_path / ".xstilts" / "store" / "train"
    deadline = time.monotonic() + 120
    while len(list(trained.glob("*/*/manifest.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130 and "run the same command again" in errors and "Traceback" not in errors
    done = xstilts("run", "mini.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not [p for p in (tmp_path / ".xstilts").rglob(".*") if p.is_dir()], "a half-written step was left"
    report = folder / "reports" / "mini"
    for path in report.rglob("*"):
        if path.is_file() and path.name != "steps.csv":  # the only one that holds times
            name = path.relative_to(report)
            assert (tmp_path / "reports" / "mini" / name).read_bytes() == path.read_bytes(), name
    for manifest in trained.glob("*/*/manifest.json"):
        twin = folder / manifest.relative_to(tmp_path)
        ours, theirs = (json.loads(p.read_text())["files"] for p in (manifest, twin))
        assert ours == theirs
