"""What the store promises."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from xstilts.errors import UserError
from xstilts.step import Step, Work
from xstilts.store import Store


class Write(Step):
    kind: ClassVar[str] = "Write"
    text: str
    fails: bool = False

    def run(self, work: Work) -> None:
        (work.out / "text.txt").write_text(self.text)
        if self.fails:
            raise ValueError("broken on purpose")


def test_a_published_step_exists_with_a_hash_of_every_file(tmp_path: Path) -> None:
    """A published step has a manifest that names each file's sha256."""
    store, step = Store(tmp_path).open(), Write(text="hello")
    assert not store.has(step)
    assert store.publish(step, "a label")
    assert store.has(step)
    manifest = store.manifest(step)
    assert manifest["files"] == {"text.txt": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
    assert manifest["label"] == "a label"


def test_a_step_that_raises_leaves_nothing(tmp_path: Path) -> None:
    """A step that raises leaves no file behind, and is not done."""
    store, step = Store(tmp_path).open(), Write(text="x", fails=True)
    with pytest.raises(ValueError, match="on purpose"):
        store.publish(step, "")
    assert not store.has(step)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_two_workers_on_one_step_publish_it_once(tmp_path: Path) -> None:
    """When workers race for a step exactly one publishes it and the others are dropped without a trace."""
    store, step, published = Store(tmp_path).open(), Write(text="x"), []
    threads = [threading.Thread(target=lambda: published.append(store.publish(step, ""))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(published) == [False] * 7 + [True]
    assert [p.name for p in store.of(step).parent.iterdir()] == [step.key]


def test_a_failure_is_kept_until_the_step_is_done(tmp_path: Path) -> None:
    """The reason of a failure can be read until the step succeeds."""
    store, step = Store(tmp_path).open(), Write(text="x")
    store.record_failure(step, "out of luck")
    failure = store.failure(step)
    assert failure is not None and failure["error"] == "out of luck"
    store.publish(step, "")
    assert store.failure(step) is None


@pytest.mark.skipif(os.name != "posix", reason="needs /proc")
def test_an_unwritable_store_is_refused_with_the_option_to_use(tmp_path: Path) -> None:
    """A store that cannot be written to is refused in one line that names --store."""
    file = tmp_path / "file"
    file.write_text("")
    for root in (file / "store", Path("/proc/store")):
        with pytest.raises(UserError, match="cannot be written.*--store"):
            Store(root).open()
