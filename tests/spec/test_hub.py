"""The hub source: which data set, at which commit, from the cache where it can be, one line where it cannot."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Value
from hub_server import NLI, FakeHub, parquet, serve

from xstilts.errors import UserError
from xstilts.languages import get_language
from xstilts.sources import get_source
from xstilts.sources.hub import READERS, HubSource
from xstilts.sources.hub.download import commit_of
from xstilts.tasks import get_task
from xstilts.tasks.hub import HUB


@pytest.fixture(scope="module")
def server() -> Iterator[FakeHub]:
    with serve() as hub:
        yield hub


@pytest.fixture
def hub(server: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """An empty hub on this machine, and an empty cache; what the library reads from the environment is set to them."""
    from huggingface_hub import constants

    server.files.clear(), server.branches.clear(), server.gated.clear(), server.requests.clear()
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    commit_of.cache_clear()
    yield server
    commit_of.cache_clear()


# -- the blocks ---------------------------------------------------------------------------------------------------


def test_every_place_on_the_hub_can_be_read() -> None:
    """Each block names a reader, a commit or a branch that is meant, and languages its task has."""
    for name, place in HUB.items():
        task = get_task(name)
        assert place.reader in READERS and task.hub == place and "hub" in task.sources
        assert re.fullmatch(r"[0-9a-f]{40}|main|refs/convert/parquet", place.revision)
        assert set(place.languages) <= set(task.all_languages)
        assert {entry.split("/")[1] for entry in place.absent} <= set(task.all_languages)
        for language in task.all_languages:
            assert get_language(language).name and get_language(language).iso3


def test_a_pinned_place_is_identified_without_the_network() -> None:
    """Planning with pinned commits imports neither torch nor the libraries that could ask anybody."""
    code = (
        "import sys; from xstilts.sources import get_source; from xstilts.tasks import get_task;"
        "print(get_source('hub').identity(get_task('udpos'), 'test', 'de'));"
        "print([name for name in ('torch', 'datasets', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    place, imported = done.stdout.splitlines()
    assert place == f"hub:google/xtreme@{HUB['udpos'].revision}/udpos.German/test in de by pos_tags-1"
    assert imported == "[]"


def test_splits_and_languages_are_told_apart_without_asking() -> None:
    """What the hub lacks is refused with a remedy; `has` says the same."""
    source = HubSource()
    for task, split, language, said in (
        ("xquad", "train", "en", "no train split in 'en' on the hub (google/xquad)"),
        ("udpos", "dev", "th", "no dev split in 'th'"),
        ("xnli", "test", "it", "no language 'it'"),
        ("parallel", "train", "de", "cannot be read from the hub; its source is files"),
    ):
        assert not source.has(get_task(task), split, language)
        with pytest.raises(UserError, match=re.escape(said)):
            source.identity(get_task(task), split, language)
    assert source.has(get_task("udpos"), "test", "th")


def test_stand_ins_are_parquet_files_or_folders(tmp_path: Path) -> None:
    """A stand-in is identified by its content, lies in the data folder or has a whole path, and must be there."""
    one = {"premise": ["a"], "hypothesis": ["b"], "label": [0]}
    file, other = tmp_path / "mine/de/0.parquet", tmp_path / "mine/de/1.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(parquet(one, label=NLI))
    source, task = HubSource(tmp_path), get_task("xnli")
    before = source.identity_of("mine/{language}", task, "de")
    assert before == source.identity_of(file, task, "de") and len(before) == 64
    assert source.rows_from("mine/de/0.parquet", task, "de") == source.rows_from("mine/{language}", task, "de")
    other.write_bytes(parquet(one, label=NLI))
    assert source.identity_of("mine/de", task, "de") != before and len(source.rows_from("mine/de", task, "de")) == 2
    with pytest.raises(UserError, match="no such parquet file"):
        source.rows_from("mine/fr", task, "fr")
    with pytest.raises(UserError, match="give its whole path, or data: FOLDER"):
        HubSource().rows_from("mine/de", task, "de")
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(UserError, match="not parquet that can be read"):
        source.rows_from("broken.parquet", task, "de")


# -- the hub ----------------------------------------------------------------------------------------------------

CARD = """---
configs:
- config_name: de
  data_files:
  - split: test
    path: de/test-*
- config_name: fr
  data_files:
  - split: test
    path: fr/test-*
---
# A data set
"""


def xnli(hub: FakeHub, **files: bytes) -> None:
    """Publish files under the commit that XNLI is pinned at."""
    hub.files["facebook/xnli", HUB["xnli"].revision] = {"README.md": CARD.encode(), **files}


def test_a_split_is_read_at_its_commit_and_then_from_the_cache(hub: FakeHub) -> None:
    """Shards are read in order, nothing but the split is downloaded, and nobody is asked a second time."""
    shards = [parquet({"premise": [text], "hypothesis": ["h"], "label": [2]}, label=NLI) for text in "ab"]
    xnli(hub, **{f"de/test-0000{n}-of-00002.parquet": shard for n, shard in enumerate(shards)},
         **{"de/train-00000-of-00001.parquet": b"huge"})  # fmt: skip
    rows = HubSource().rows(get_task("xnli"), "test", "de")
    assert [(row["id"], row["text_a"], row["label"]) for row in rows] == [
        ("1", "a", "contradiction"),
        ("2", "b", "contradiction"),
    ]
    assert not any("train" in request for request in hub.requests)
    hub.requests.clear()
    assert HubSource().rows(get_task("xnli"), "test", "de") == rows and not hub.requests


def test_several_splits_are_one_after_the_other(hub: FakeHub) -> None:
    """ANLI's rounds are joined, and their ids told apart."""
    rounds = {
        f"plain_text/dev_r{n}-00000-of-00001.parquet": parquet(
            {"uid": ["u"], "premise": [f"p{n}"], "hypothesis": ["h"], "label": [n - 1]}, label=NLI
        )
        for n in (1, 2, 3)
    }
    hub.files["facebook/anli", HUB["anli"].revision] = rounds
    rows = HubSource().rows(get_task("anli"), "dev", "en")
    assert [(row["id"], row["label"]) for row in rows] == [
        ("dev_r1-u", "entailment"), ("dev_r2-u", "neutral"), ("dev_r3-u", "contradiction")
    ]  # fmt: skip


def test_names_of_labels_may_be_in_the_card(hub: FakeHub) -> None:
    """A parquet file without `datasets`' metadata takes its names from the card of the data set."""
    info = "dataset_info:\n- config_name: de\n  features:\n  - name: label\n    dtype:\n      class_label:\n"
    info += "        names:\n"
    info += "".join(f"          '{n}': {name}\n" for n, name in enumerate(("neutral", "entailment", "contradiction")))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"premise": ["a"], "hypothesis": ["b"], "label": [0]}), buffer)
    card = CARD.replace("configs:", info + "configs:").encode()
    hub.files["facebook/xnli", HUB["xnli"].revision] = {"README.md": card, "de/test-0.parquet": buffer.getvalue()}
    assert HubSource().rows(get_task("xnli"), "test", "de")[0]["label"] == "neutral"


def sick(text: str) -> bytes:
    return parquet({"id": ["1"], "sentence_A": [text], "sentence_B": ["b"], "label": [1]}, label=NLI)


def test_a_branch_is_resolved_to_its_commit(hub: FakeHub) -> None:
    """The commit is part of the identity, is asked once a process, and outlives the network and a moved branch."""
    place = "default/train/0000.parquet"
    first = hub.publish("RobZamp/sick", {place: sick("old")}, "refs/convert/parquet")
    source, task = HubSource(), get_task("sick")
    identity = source.identity(task, "train", "en")
    assert identity == f"hub:RobZamp/sick@{first}/default/train in en by sick-1"
    assert not any("resolve/" in request for request in hub.requests)
    second = hub.publish("RobZamp/sick", {place: sick("new")}, "refs/convert/parquet")
    assert source.identity(task, "train", "en") == identity and source.rows(task, "train", "en")[0]["text_a"] == "old"
    commit_of.cache_clear()
    assert second in source.identity(task, "train", "en") and source.rows(task, "train", "en")[0]["text_a"] == "new"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"README.md": CARD.replace("de", "es").encode()}, "has no configuration 'de'"),
        ({"README.md": CARD.replace("split: test", "split: dev").encode()}, "has no split 'test'; it has dev"),
        ({"README.md": CARD.encode()}, "holds no parquet files at de/test-*"),
        ({"README.md": CARD.encode(), "de/test-0.jsonl": b"{}"}, "test-0.jsonl is not parquet"),
        ({"xnli.py": b"import os"}, "loading scripts are never run; many have their parquet files on the branch refs/"),
        ({"README.md": CARD.encode(), "de/test-00000-of-00002.parquet": b""}, "1 files at de/test-*, not as many as"),
        ({"README.md": b"---\nconfigs: 1\n---\n"}, "its card cannot be read"),
    ],
)  # fmt: skip
def test_a_data_set_without_the_split_is_refused(hub: FakeHub, files: dict[str, bytes], said: str) -> None:
    """The line names the commit and what it has instead."""
    hub.files["facebook/xnli", HUB["xnli"].revision] = files
    with pytest.raises(UserError, match=rf"^facebook/xnli@{HUB['xnli'].revision[:12]}.*{re.escape(said)}"):
        HubSource().rows(get_task("xnli"), "test", "de")


def test_what_the_hub_refuses_is_said_in_one_line(hub: FakeHub) -> None:
    """Unknown and gated data sets and unknown revisions each have their line, with the way out."""
    source, task = HubSource(), get_task("sick")
    with pytest.raises(UserError, match="the hub has no such data set; .*source: files with data: FOLDER"):
        source.identity(task, "train", "en")
    hub.publish("RobZamp/sick", {})
    with pytest.raises(UserError, match="no such revision; .*data: FOLDER"):
        source.identity(task, "train", "en")
    hub.gated.add("RobZamp/sick")
    with pytest.raises(UserError, match="gated; .*HF_TOKEN.*data: FOLDER"):
        source.identity(task, "train", "en")
    hub.files["facebook/xnli", HUB["xnli"].revision] = {}
    hub.gated.add("facebook/xnli")
    with pytest.raises(UserError, match="gated"):
        source.rows(get_task("xnli"), "test", "de")


@pytest.mark.parametrize("task", ["sick", "snli"])
def test_a_hub_out_of_reach_is_one_line_at_once(tmp_path: Path, task: str) -> None:
    """Without a network, for a branch and for a commit: one line with the ways out, at once, and nothing else."""
    code = (
        "from xstilts.errors import UserError\n"
        "from xstilts.sources import get_source\n"
        "from xstilts.tasks import get_task\n"
        f"try: get_source('hub').rows(get_task({task!r}), 'train', 'en')\n"
        "except UserError as error: print(error)"
    )
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert time.monotonic() - begin < 15
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
    for part in ("cannot be read", "HF_ENDPOINT", "HF_HOME", "source: files with data: FOLDER"):
        assert part in done.stdout


STUDY = """
import json, sys
from pathlib import Path
from xstilts.executors import get_executor
from xstilts.plan import plan
from xstilts.steps.prepare import read_rows
from xstilts.store import Store
from xstilts.study import Study

graph = plan(Study.model_validate({"name": "hub", "model": "microworld", "source": "hub", "languages": ["de"],
                                   "intermediates": ["sick"], "targets": ["xnli"],
                                   "settings": {"default": {"train_rows": 1, "select": "last"}}}))
store = Store(Path(sys.argv[1])).open()
executor = get_executor("pool", store)
steps = {key: step for key, step in graph.steps.items() if step.kind == "Prepare"}
for key, step in steps.items():
    executor.submit(step, graph.labels[key], lambda done, total: None)
errors = [str(error) for _, error in (executor.wait() for _ in steps) if error]
executor.close()
rows = {step.task: [row["text_a"] for row in read_rows(store, (key,))] for key, step in steps.items()}
print(json.dumps({"errors": errors, "rows": rows}))
"""


def test_a_study_needs_no_data_folder(hub: FakeHub, tmp_path: Path) -> None:
    """A study with `source: hub` is planned, and workers prepare its rows, from what the environment says alone."""
    de = parquet({"premise": ["eins"], "hypothesis": ["h"], "label": [0]}, label=NLI)
    train = parquet({"premise": ["one"], "hypothesis": ["h"], "label": [0], "idx": [0]}, label=NLI, idx=Value("int32"))
    hub.files["facebook/xnli", HUB["xnli"].revision] = {"README.md": CARD.encode(), "de/test-0.parquet": de}
    hub.files["nyu-mll/glue", HUB["mnli"].revision] = {"mnli/train-00000-of-00001.parquet": train}
    hub.publish("RobZamp/sick", {"default/train/0000.parquet": sick("intermediate")}, "refs/convert/parquet")
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", STUDY, str(tmp_path / "store")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = {"mnli": ["one"], "sick": ["intermediate"], "xnli": ["eins"]}
    assert json.loads(done.stdout) == {"errors": [], "rows": rows}


def test_rows_are_those_that_were_planned(hub: FakeHub, tmp_path: Path) -> None:
    """A branch that moved on between plan and run is refused; so is a stand-in that was edited."""
    from xstilts.step import Work
    from xstilts.steps.prepare import Prepare
    from xstilts.store import Store

    hub.publish("RobZamp/sick", {"default/train/0000.parquet": sick("old")}, "refs/convert/parquet")
    content = get_source("hub").identity(get_task("sick"), "train", "en")
    work = Work(Store(tmp_path / "store"), tmp_path)
    step = Prepare(task="sick", split="train", language="en", source="hub", content=content)
    step.run(work)
    assert pq.read_table(tmp_path / "rows.parquet").column("text_a").to_pylist() == ["old"]
    hub.publish("RobZamp/sick", {"default/train/0000.parquet": sick("new")}, "refs/convert/parquet")
    commit_of.cache_clear()
    with pytest.raises(UserError, match="changed since the study was planned"):
        step.run(work)
