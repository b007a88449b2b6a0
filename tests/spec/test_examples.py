"""`xstilts tasks NAME` shows every task with a row as an encoder reads it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from xstilts.errors import UserError
from xstilts.tasks import TASKS, get_task
from xstilts.tasks.examples import MADE_UP, encode, example
from xstilts.tasks.rows import SCHEMAS


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_has_a_row_that_fits_its_schema_and_can_be_encoded(name: str) -> None:
    """The row has the columns of the shape, nothing more, and gives pieces; trained shapes give a target."""
    task = get_task(name)
    row, where = example(task, None)
    assert where and pa.Table.from_pylist([row], schema=SCHEMAS[task.shape]).num_rows == 1
    assert set(row) <= set(SCHEMAS[task.shape].names)
    lines = encode(task, row, "microworld")
    assert all("pieces: <s>" in line or line.startswith("target:") for line in lines)
    assert bool(lines) == (task.shape != "mlm")
    assert any(line.startswith("target:") for line in lines) == (task.shape not in ("retrieve", "mine", "mlm"))


def test_every_shape_has_a_made_up_row() -> None:
    """A new shape is shown too."""
    assert set(MADE_UP) == set(SCHEMAS)


def test_a_real_row_is_taken_from_the_folder(tmp_path: Path) -> None:
    """With a data folder the first row of the first split that is there is shown; without any, one line says so."""
    (tmp_path / "xnli").mkdir()
    (tmp_path / "xnli" / "test-de.tsv").write_text("Ein Satz.\tNoch einer.\tneutral\n")
    row, where = example(get_task("xnli"), tmp_path)
    assert row["text_a"] == "Ein Satz." and where.endswith("xnli.test in de")
    with pytest.raises(UserError, match="data check"):
        example(get_task("pawsx"), tmp_path)
