"""The report's tables as LaTeX and CSV."""

from __future__ import annotations

import csv
import io

from xstilts.report.tables import Cell, Table
from xstilts.report.text import MINUS, clean

_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\symbol{34}", "`": r"\textasciigrave{}", "'": "'", MINUS: "$-$", "–": "--",
    "±": r"$\pm$", "…": r"\ldots{}", "†": r"$\dagger$", "\ufffd": "?", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text in which no character acts as LaTeX. Letters of other scripts stay as they are, which XeLaTeX and LuaLaTeX
    print; the signs that the report uses itself also print in pdfLaTeX."""
    return "".join(_ESCAPED.get(character, character) for character in clean(text, 10_000))


def latex(table: Table) -> str:
    """The table as a `tabular` of the package booktabs, without a float or caption, to be read by `\\input`.

    Numeric columns are set right; strong cells are bold; a heading equal to the one above is left out, as on the page.
    """
    columns = "".join("r" if right else "l" for right in table.numeric)
    lines = [f"% {clean(table.title)}; needs \\usepackage{{booktabs}}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule",
             _line([escaped(name) for name in table.columns]), "\\midrule"]  # fmt: skip
    above = None
    for row in table.rows:
        first = row[0].text if row else ""
        cells = [_cell(cell) for cell in row]
        lines.append(_line(["" if first == above else cells[0], *cells[1:]] if cells else []))
        above = first
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _cell(cell: Cell) -> str:
    text = escaped(cell.text)
    return f"\\textbf{{{text}}}" if text and "strong" in cell.look.split() else text


def _line(cells: list[str]) -> str:
    # After \\ and after booktabs' rules, [ and * are read as arguments.
    guard = "{}" if cells and cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"


def table_csv(table: Table) -> str:
    """The table as CSV, cells as printed; numbers have an ASCII minus sign and missing ones are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_ascii(cell.text) if right else cell.text
                         for cell, right in zip(row, table.numeric, strict=True)])  # fmt: skip
    return buffer.getvalue()


def _ascii(number: str) -> str:
    return "" if number == "–" else number.replace(MINUS, "-")
