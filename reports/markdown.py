"""The table in Markdown."""

import html
import re

from reports.table import TextTable, by_column
from trainers.messages import printable


def to_markdown(text: TextTable) -> str:
    """A Markdown table a column of the study, with the caption below."""
    parts = {"": text} if text.together else by_column(text)
    tables = [_markdown(column, part) for column, part in parts.items()]
    caption = re.sub(r"^(\d*)([#=+.)-])", r"\1\\\2", escape_markdown(text.caption))  # begins no heading or list
    return "\n\n".join([*tables, caption]) + "\n"


def _markdown(column: str, text: TextTable) -> str:
    lines = [[escape_markdown(head) for head in (column, *text.cells)], ["---"] * (text.cells.shape[1] + 1)]
    for row in text.cells.index:
        fields = zip(text.cells.loc[row], text.marks.loc[row], strict=True)
        lines.append([escape_markdown(row), *(f"**{value}**" if is_bold else value for value, is_bold in fields)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape_markdown(value: object) -> str:
    """Text as Markdown shows it: no markup, no HTML, no end of a field of a table."""
    return re.sub(r"([\\`*_\[\]~|])", r"\\\1", html.escape(printable(value).strip(), quote=False))
