"""The README's Python example, run."""

from __future__ import annotations

import re

import pytest
from tests.conftest import DATA, MODELS, REPOSITORY


@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not (DATA.is_dir() and MODELS.is_dir()), reason="no data or model folder; set XSTILTS_DATA, XSTILTS_MODELS"
)
def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example runs as it stands and prints scores and gains."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("XSTILTS_DATA", str(DATA))
    monkeypatch.setenv("XSTILTS_MODELS", str(MODELS))
    text = (REPOSITORY / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, flags=re.M | re.S)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    assert "xquad" in printed and "gain" in printed
