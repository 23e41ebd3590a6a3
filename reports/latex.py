"""The table in LaTeX, to \\input into a paper."""

from unicodedata import lookup

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


def escape_latex(value: object) -> str:
    """Text as LaTeX prints it literally, after `\\\\` too, which would take a bracket or a star for its own."""
    text = "".join(LATEX.get(character, character) for character in printable(value).strip())
    return "{}" + text if text.startswith(("[", "*")) else text


def to_latex(text: TextTable, results: Results) -> str:
    """A table float to \\input: a booktabs tabular a column of the study, a wide one in parts, and shrunk to the line
    where that is too little. Its comments name every cell's runs and their code version."""
    tabulars = [
        _tabular(column, part)
        for column, whole in by_column(text).items()
        for part in in_parts(whole, LINE - longest(whole.cells.index))
    ]
    sources = [
        f"% {row} / {column}: n = {len(group)}; runs {' '.join(group['run_id'])}; "
        f"code {' '.join(sorted(set(group['code_version'])))}"
        for (row, column), group in results.done.items()
        if len(group)
    ]
    lines = [
        "% needs \\usepackage{booktabs,graphicx}, and LuaLaTeX for letters that pdfLaTeX does not have",
        *map(printable, sources),
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escape_latex(text.caption)}}}",
        f"\\label{{tab:{plain_name(results.study.name)}}}",
        "\\footnotesize",
        *(f"\\par\\medskip\n{tabular}" for tabular in tabulars),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tabular(column: str, text: TextTable) -> str:
    styles = text.marks.map({False: "", True: "textbf:--rwrap"}.get)
    style = text.cells.rename_axis(index=None, columns=escape_latex(column) or None).style
    style = style.apply(lambda _: styles, axis=None)
    style = style.format(escape_latex).format_index(escape_latex, axis=0).format_index(escape_latex, axis=1)
    body = style.to_latex(hrules=True, column_format="l" + "r" * text.cells.shape[1])
    return f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n{body}}}"
