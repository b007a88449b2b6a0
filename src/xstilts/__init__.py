"""xstilts plans, runs and explains intermediate-task transfer studies across languages.

import xstilts
study = xstilts.Study.load("studies/natural-smoke.yaml")
study.run()
study.results().contributions        # one row per example of every run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Results", "Store", "Study", "UserError", "__version__"]

_WHERE = {"Study": "xstilts.study", "Store": "xstilts.store", "UserError": "xstilts.errors",
          "Results": "xstilts.report.frames"}  # fmt: skip

if TYPE_CHECKING:
    from xstilts.errors import UserError
    from xstilts.report.frames import Results
    from xstilts.store import Store
    from xstilts.study import Study


def __getattr__(name: str) -> Any:
    """Public names, imported on first use: `import xstilts` costs nothing."""
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'xstilts' has no attribute {name!r}")
