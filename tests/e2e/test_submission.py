"""From a study to a submission to its scores, on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.spec.submission_fixture import write_data, write_labels

from xstilts.study import Study

STUDY = """\
name: sub
model: microworld
source: files
data: data
languages: [de, en]
intermediates: [none]
targets: [xnli, udpos, xquad, bucc2018, tatoeba]
settings:
  default: {epochs: 2, batch_size: 4, max_length: 96, learning_rate: 1.0e-3}
"""


def xstilts(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xstilts", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has been run, its submission in `sent` and its labels in `labels`."""
    path = tmp_path_factory.mktemp("submission")
    write_data(path / "data")
    write_labels(path / "data", path / "labels")
    (path / "sub.yaml").write_text(STUDY)
    done = xstilts("submit", "sub.yaml", "--intermediate", "none", "--out", "sent", cwd=path)
    assert done.returncode == 2 and not (path / "sent").exists(), "nothing is run yet"
    assert "xstilts: xnli after none, seed 1 is not run; type: xstilts run sub.yaml" in done.stderr.splitlines()
    assert xstilts("run", "sub.yaml", "--executor", "inline", cwd=path).returncode == 0
    done = xstilts("submit", "sub.yaml", "--intermediate", "none", "--out", "sent", "--json", cwd=path)
    assert done.returncode == 0, done.stderr
    (path / "submit.json").write_text(done.stdout)
    return path


def test_a_submission_scores_as_the_studys_report(folder: Path) -> None:
    """The scores of a study's submission against its gold are those of its report: every task, language, metric."""
    done = xstilts("score", "sent", "labels", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    tasks = json.loads(done.stdout)["tasks"]
    frame = Study.load(folder / "sub.yaml").results(folder / ".xstilts" / "store").contributions
    sums = frame.groupby(["target", "metric", "language"])[["numerator", "denominator"]].sum()
    report = 100 * sums["numerator"] / sums["denominator"]
    names = {"accuracy": "accuracy", "chunk_f1": "f1", "qa_f1": "f1", "qa_em": "exact_match", "set_f1": "f1"}
    expected = {
        (task, names[metric], language): score
        for (task, metric, language), score in report.items()
        if metric in names
    }  # fmt: skip
    found = {
        (task, metric, language): score
        for task, metrics in tasks.items()
        for metric in ("accuracy", "f1", "exact_match")
        for language, score in metrics.get(metric, {}).items()
    }
    assert len(found) == 2 * 2 + 2 * 2 + 2
    assert found == pytest.approx(expected, abs=1e-9)
    assert len(set(found.values())) > 4, "scores that are all alike would show nothing"


def test_submit_says_what_is_missing(folder: Path) -> None:
    """The folder is named valid and incomplete, with every language that XTREME wants beyond those written."""
    facts = json.loads((folder / "submit.json").read_text())
    assert facts["valid"] and not facts["complete"]
    assert facts["written"]["tatoeba"] == ["de"] and facts["written"]["xquad"] == ["de", "en"]
    assert len(facts["missing"]["tatoeba"]) == 35 and facts["missing"]["bucc2018"] == ["fr", "ru", "zh"]
    names = {str(path.relative_to(folder / "sent")) for path in (folder / "sent").rglob("*") if path.is_file()}
    assert names == {"bucc2018/test-de.tsv", "tatoeba/test-de.tsv"} | {
        f"{task}/test-{language}.{'json' if task == 'xquad' else 'tsv'}"
        for task in ("xnli", "udpos", "xquad")
        for language in ("de", "en")
    }
    assert not [path for path in folder.iterdir() if path.name.startswith(".sent")], "a temporary folder was left"


def test_both_verbs_print_tables(folder: Path) -> None:
    """Without --json both end well and show tasks, what is missing, and that there is no overall score."""
    done = xstilts("submit", "sub.yaml", "--intermediate", "none", "--out", "again", cwd=folder)
    assert done.returncode == 0 and "8 files, read back and valid; incomplete" in done.stdout
    assert "missing: panx (all)" in done.stdout
    done = xstilts("score", "again", "labels", cwd=folder)
    assert done.returncode == 0 and "no overall score" in done.stdout and "udpos" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 or "note:" in done.stdout


def test_wrong_input_is_one_line_each_and_exit_code_2(folder: Path) -> None:
    """A folder in use, an arm or a study that does not exist, predictions that do not fit: no traceback."""
    (folder / "short" / "xnli").mkdir(parents=True)
    (folder / "short" / "xnli" / "test-de.tsv").write_text("neutral\n")
    (folder / "short" / "xnli" / "test-en.tsv").write_text("neutral\n")
    for arguments, lines, words in (
        (("submit", "sub.yaml", "--intermediate", "none", "--out", "sent"), 1, "is there already and not empty"),
        (("submit", "sub.yaml", "--intermediate", "non", "--out", "x"), 1, "did you mean 'none'?"),
        (("submit", "sub.yaml", "--intermediate", "none", "--out", "sub.yaml/x"), 1, "cannot be written"),
        (("score", "nowhere", "labels"), 1, "no such folder"),
        (("score", "short", "labels"), 2, "short/xnli/test-de.tsv:2: 1 predictions, but 12 labels"),
    ):
        done = xstilts(*arguments, cwd=folder)
        assert done.returncode == 2, arguments
        assert words in done.stderr and len(done.stderr.strip().splitlines()) == lines, done.stderr
        assert all(line.startswith("xstilts: ") for line in done.stderr.strip().splitlines())
