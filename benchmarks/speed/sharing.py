"""What sharing saves of the table of arXiv 2005.13013: python benchmarks/speed/sharing.py [--results FILE]

Plans studies/paper.yaml, once as it is and once without its mixture, variants and controls: its nine intermediate tasks
and none, nine targets, three seeds. Counts the pieces that are learned from (every epoch, official sizes of the splits)
with shared work, and with every cell training an intermediate and a target of its own, as the paper's code is run. No
data is needed and nothing is trained.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import yaml
from common import REPOSITORY, merge

STUDY = REPOSITORY / "studies" / "paper.yaml"


def main() -> None:
    """Plan, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="a JSON file to merge the figures into")
    asked = parser.parse_args()
    whole = yaml.safe_load(STUDY.read_text("utf-8"))
    names = [arm for arm in whole["intermediates"] if isinstance(arm, str)]
    table = {field: value for field, value in whole.items() if field not in ("variants", "controls", "settings")}
    found = {"table": of(table | {"intermediates": names}), "study": of(whole)}
    for name, what in (("table", "intermediates x targets x seeds"), ("study", "with mixture, variants, controls")):
        one = found[name]
        print(
            f"{what}: {one['trainings']:,} trainings on {one['pieces'] / 1e9:.2f} billion pieces, alone "
            f"{one['trainings_unshared']:,} on {one['pieces_unshared'] / 1e9:.2f} billion: "
            f"{one['share_percent']:.1f} % with shared work"
        )
    merge(asked.results, "sharing", found)


def of(study: dict[str, Any]) -> dict[str, Any]:
    """Trainings, rows and pieces of a study, with shared work and without."""
    from xstilts.api import find_store, plan_anywhere
    from xstilts.cost.estimate import find_rate
    from xstilts.cost.needs import needs
    from xstilts.cost.workload import loads
    from xstilts.study import Study

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / STUDY.name
        file.write_text(yaml.safe_dump({**study, "data": folder}), "utf-8")
        plan, store = plan_anywhere(Study.load(file)), find_store(Path(folder) / "store").open()
        facts = needs(plan, loads(plan, store), find_rate(plan, store))
    sharing: dict[str, Any] = facts["sharing"]
    return {
        **sharing, "share_percent": 100 * (1 - sharing["saved"]), "assumed": facts["assumed"],
        "intermediates": len(study["intermediates"]), "targets": len(study["targets"]), "seeds": len(study["seeds"]),
    }  # fmt: skip


if __name__ == "__main__":
    main()
