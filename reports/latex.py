"""The table in LaTeX, to \\input into a paper."""

import re
from collections.abc import Collection
from typing import NamedTuple
from unicodedata import lookup

import pandas as pd

from reports.results import Results
from reports.table import TextTable, by_column, in_parts, longest
from trainers.messages import plain_name, printable

GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lamda mu nu xi pi rho sigma tau upsilon phi chi psi "
GREEK += "omega"
LINE = 90  # letters of a line of a LaTeX table: about what the usual page holds in footnotesize
LATEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {character: f"\\{character}" for character in "&%$#_"}
LATEX |= {"±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\to$", "≤": r"$\leq$", "≥": r"$\geq$"}
LATEX |= {"∞": r"$\infty$", "−": "$-$", "–": "--", "<": "$<$", ">": "$>$", "|": "$|$"}
LATEX |= {lookup(f"Greek small letter {name}"): f"$\\{name}$".replace("md", "mbd") for name in GREEK.split()}


# a number, with what follows ± and, of a comparison, its interval and mark; not a count as 2/3, nor 1.2e-05
NUMBER = re.compile(r"([+-]?)(\d+)(\.\d+)?(?: ± (\d+(?:\.\d+)?))?([ *,].*)?")
LABEL = re.compile(r"[\w:./+-]+", re.ASCII)


class LatexForm(NamedTuple):
    """What a user says of table.tex: a caption and a label in place of ours, and columns of siunitx, which align the
    points of numbers."""

    caption: str = ""
    label: str = ""
    siunitx: bool = False

    def checked(self) -> "LatexForm":
        """Itself. Raises ValueError for a label that LaTeX does not take."""
        if self.label and not LABEL.fullmatch(self.label):
            raise ValueError(f"--label {self.label!r} should be of letters, digits and : . / + - _ alone")
        return self


USUAL = LatexForm()


def escape_latex(value: object) -> str:
    """Text as LaTeX prints it literally, after `\\` too, which would take a bracket or a star for its own."""
    text = "".join(LATEX.get(character, character) for character in printable(value).strip())
    return "{}" + text if text.startswith(("[", "*")) else text


def escape_value(value: object) -> str:
    """The same of a field of the table, whose numbers get true minus signs."""
    return escape_latex(re.sub(r"(?<![\w.])-(?=\d)", "−", str(value)))


def to_latex(text: TextTable, *several: Results, form: LatexForm = USUAL) -> str:
    """A table float of one study's results, or of several's, to \\input: a booktabs tabular a column of the study, a
    wide one in parts, and shrunk to the line where that is too little. Its comments name every cell's runs and their
    code version, and have our caption where the user gives another."""
    if text.together:
        tabulars = [_tabular("", _grouped(text), form.siunitx)]
    else:
        tabulars = [
            _tabular(column, part, form.siunitx)
            for column, whole in by_column(text).items()
            for part in in_parts(whole, LINE - longest(whole.cells.index))
        ]
    sources = [
        f"% {row} / {column}: n = {len(group)}; runs {' '.join(group['run_id'])}; "
        f"code {' '.join(sorted(set(group['code_version'])))}"
        for results in several
        for (row, column), group in results.done.items()
        if len(group)
    ]
    names = "-".join(dict.fromkeys(results.study.name for results in several))
    packages = "booktabs,graphicx" + ",siunitx" * form.siunitx
    lines = [
        f"% needs \\usepackage{{{packages}}}, and LuaLaTeX for letters that pdfLaTeX does not have",
        *map(printable, sources),
        *([f"% {printable(text.caption)}"] if form.caption else []),
        "\\begin{table}",
        "\\centering",
        *(["\\sisetup{separate-uncertainty=true,detect-all}"] if form.siunitx else []),
        f"\\caption{{{escape_latex(form.caption or text.caption)}}}",
        f"\\label{{{form.label or f'tab:{plain_name(names)}'}}}",
        "\\footnotesize",
        *(f"\\par\\medskip\n{tabular}" for tabular in tabulars),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _grouped(text: TextTable) -> TextTable:
    """A table whose heads are below those of their columns."""
    of = zip(text.columns, text.cells, strict=True)
    heads = pd.MultiIndex.from_tuples([(column, head.removeprefix(f"{column}: ")) for column, head in of])
    return text._replace(cells=text.cells.set_axis(heads, axis=1), marks=text.marks.set_axis(heads, axis=1))


def _tabular(column: str, text: TextTable, siunitx: bool) -> str:
    kinds = {head: _aligned(text.cells[head]) if siunitx else "r" for head in text.cells}
    aligned = pd.DataFrame({head: kind != "r" for head, kind in kinds.items()}, text.cells.index)
    styles = text.marks.map({False: "", True: "textbf:--rwrap"}.get).mask(text.marks & aligned, "bfseries:")
    style = text.cells.rename_axis(index=None)
    style = (style if text.together else style.rename_axis(columns=escape_latex(column) or None)).style
    style = style.apply(lambda _: styles, axis=None).format(escape_value)
    style = style.format(_number, subset=list(aligned.columns[aligned.all()]))
    style = style.format_index(escape_latex, axis=0).format_index(escape_latex, axis=1)
    body = style.to_latex(hrules=True, column_format="l" + "".join(kinds.values()), siunitx=siunitx, multicol_align="c")
    return f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n{body}}}"


def _number(value: str) -> str:
    """A field as a column of siunitx takes it: what is no number in braces."""
    found = NUMBER.fullmatch(value)
    if not found:
        return f"{{{escape_value(value)}}}"
    sign, whole, rest, spread, after = found.groups(default="")
    return f"{sign}{whole}{rest}" + (f" \\pm {spread}" if spread else "") + _after(after)


def _after(text: str) -> str:
    """What follows a number, apart from it where it is apart."""
    return f"{{{'~' * text.startswith(' ')}{escape_value(text)}}}" if text else ""


def _aligned(values: Collection[str]) -> str:
    """How a column's numbers are aligned at their points, with room for what follows them; to the right without any."""
    found = [match.groups(default="") for match in map(NUMBER.fullmatch, values) if match]
    if not found:
        return "r"
    signs, wholes, rests, spreads, afters = zip(*found, strict=True)
    digits = max(len(spread.replace(".", "").lstrip("0")) for spread in spreads)
    sign = "+" if "+" in signs else "-" if "-" in signs else ""
    form = f"{sign}{max(map(len, wholes))}{max(rests, key=len)[:1]}{max(map(len, rests)) - 1 if any(rests) else ''}"
    form += f"({digits})" if digits else ""
    options = [f"table-format={form}", *(["retain-explicit-plus"] if "+" in signs else [])]
    if any(afters):
        options.append(f"table-space-text-post={_after(max(afters, key=len))}")
    return f"S[{','.join(options)}]"
