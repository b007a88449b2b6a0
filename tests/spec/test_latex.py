"""Tables as LaTeX and CSV, and a report's tables and figures as files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from report_fixture import PLANTED, Target, contributions, results

from xstilts.report.frames import Frames
from xstilts.report.html import view
from xstilts.report.latex import escaped, latex, table_csv
from xstilts.report.svg_files import write_files
from xstilts.report.tables import Cell, Table

ACTIVE = set("\\{}$&%#_~^")
SAFE = re.compile(
    r"\\text(?:backslash|asciitilde|asciicircum|less|greater|bar|asciigrave)\{\}|\\symbol\{34\}|\\ldots\{\}"
    r"|\$-\$|\$\\pm\$|\$\\dagger\$|\\[{}$&%#_]"
)
TWO = Table("Gains", ["target", "gain"], [False, True])


def rows(*cells: tuple[str, str]) -> Table:
    return Table(TWO.title, TWO.columns, TWO.numeric, [[Cell(a), Cell(b)] for a, b in cells])


@given(st.text(st.characters() | st.sampled_from(sorted(ACTIVE)), max_size=40))
def test_no_character_of_a_cell_acts(text: str) -> None:
    """Whatever the data holds, what is left after the known replacements has no active character and one line."""
    shown = escaped(text.replace("\xa0", ""))
    assert not ACTIVE & set(SAFE.sub("", shown)) and len(shown.splitlines()) <= 1


def test_the_table_is_a_tabular_of_booktabs() -> None:
    """Rules, alignment, bold and minus signs as they are printed; a repeated heading stands once."""
    table = Table("Gains", ["target", "95 % interval"], [False, True],
                  [[Cell("XNLI"), Cell("−0.3", "strong")], [Cell("XNLI"), Cell("+1.2 ±0.4")]])  # fmt: skip
    assert latex(table).splitlines() == [
        r"% Gains; needs \usepackage{booktabs}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"target & 95 \% interval \\",
        r"\midrule",
        r"XNLI & \textbf{$-$0.3} \\",
        r" & +1.2 $\pm$0.4 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_row_that_begins_with_a_bracket_is_no_argument() -> None:
    r"""`\\ [1.0, 2.0]` would be read as a length, `\\ *` as a starred break."""
    lines = latex(rows(("[−1.0, 2.0]", "a"), ("*", "b"))).splitlines()
    assert lines[5].startswith("{}[") and lines[6].startswith("{}*")


def test_a_hostile_title_stays_in_its_comment() -> None:
    """A line break in a title does not end the comment."""
    found = latex(Table("a\n\\input{x}\u2028\\input{y}", ["b"], [False])).splitlines()
    assert found[0].startswith("% a \\input{x}") and found[1].startswith("\\begin{tabular}")


def test_numbers_in_csv_are_read_by_programs() -> None:
    """An ASCII minus, nothing for a missing number; text as it is printed, quoted where need be."""
    found = list(csv.reader(io.StringIO(table_csv(rows(("a, −b", "−0.3"), ('"', "–"))))))
    assert found == [["target", "gain"], ["a, −b", "-0.3"], ['"', ""]]


def test_all_tables_and_figures_of_a_report_become_files(tmp_path: Path) -> None:
    """Each table that has rows as CSV and LaTeX, each figure as SVG; none for empty tables; the same bytes again."""
    target = Target("xnli", "XNLI: ../../etc", "semantic", "classify", ("accuracy",), ("en", "de"), 0.6)
    values = view(Frames(results((target,), contributions=contributions(PLANTED, [target], examples=10))))
    first = write_files(values, tmp_path / "a")
    names = {path.relative_to(tmp_path / "a").as_posix() for path in first}
    assert {"tables/gain.csv", "tables/gain.tex", "figures/heat-maps-clean.svg", "tables/control.tex"} <= names
    assert "figures/languages-xnli-etc.svg" in names and "tables/score-xnli-etc-accuracy.csv" in names
    assert "tables/failed.csv" not in names and len(names) == len(first)
    again = write_files(values, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_names_from_data_choose_no_folder_and_take_no_others_place(tmp_path: Path) -> None:
    """Titles become plain names within the folder, and equal ones are numbered."""
    figure = Markup('<svg class="figure" width="1" height="1" viewBox="0 0 1 1"><desc>x</desc></svg>')
    values = {
        "languages": [("../../x", figure), ("X", figure), ("語", figure), ("", figure)],
        "t_table": rows(("a", "b")),
    }
    found = write_files(values, tmp_path / "out")
    stems = [path.relative_to(tmp_path / "out").as_posix() for path in found]
    assert stems == [
        "figures/languages-x.svg", "figures/languages-x-2.svg", "figures/languages.svg", "figures/languages-2.svg",
        "tables/t.csv", "tables/t.tex",
    ]  # fmt: skip
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(found)


def test_what_is_no_table_and_no_figure_is_no_file(tmp_path: Path) -> None:
    """Sentences, markup that is no figure and tables without rows are passed over."""
    values = {"a": "text", "b": Markup("<p>"), "c_table": TWO, "d": [("x", "y"), TWO, 3], "e": None}
    assert write_files(values, tmp_path) == [] and list(tmp_path.iterdir()) == []
