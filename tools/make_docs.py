"""Builds the site of docs/ into site/: pages that the code itself tells, and the notebook as it runs, then all by
Zensical. Fails on a link, an anchor or a picture that is not there, and on a page that would fetch anything."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
from nbclient import NotebookClient

from ganablate.catalogue import catalogue
from trainers.config import Config

HOME = Path(__file__).parent.parent
GENERATED, SITE = HOME / "docs" / "generated", HOME / "site"
NOTEBOOK = HOME / "examples" / "first_table.ipynb"
SOURCE = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src", "source": "src"}


def table(*lines: tuple[str, ...]) -> str:
    """A Markdown table, its heads first."""
    rows = [[" ".join(cell.replace("|", "\\|").split()) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]) + "\n"


def fields() -> str:
    """All fields of a Config, in the order of their definition."""
    kinds = Config.model_json_schema()["properties"]
    lines = [
        (f"`{name}`", _kind(kinds[name]), f"`{field.default!r}`", field.description or "")
        for name, field in Config.model_fields.items()
    ]
    intro = "Whatever decides a run, each by its name for `--set`, in studies and in Python."
    return f"# Fields of a Config\n\n{intro}\n\n" + table(("field", "values", "default", "what it is"), *lines)


def _kind(schema: dict[str, Any]) -> str:
    """The values of a field by its JSON schema, in words."""
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = {"null": "None", "string": "text", "boolean": "true, false", "object": "names with values", "array": "list"}
    bounds = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
    limits = [text.format(schema[key]) for key, text in bounds.items() if abs(schema.get(key, 2.0**63)) < 2**63]
    return " ".join([kind.get(schema["type"], schema["type"]), *limits])


def names() -> str:
    """What `ganablate list` prints."""
    parts = ["# All names\n\nWhat `ganablate list` prints, by kind.\n"]
    for kind, found in catalogue().items():
        lines = ((f"`{name}`", told) for name, told in found.items())
        parts.append(f"## {kind}\n\n" + table(("name", "what it is"), *lines))
    return "\n".join(parts)


def commands() -> str:
    """What `--help` says of each command."""
    command = [sys.executable, "-m", "typer", "ganablate.command", "utils", "docs", "--name", "ganablate", "--title"]
    return subprocess.run([*command, "All options"], check=True, capture_output=True, text=True, cwd=HOME).stdout


def notebook() -> str:
    """The notebook with what it gives, run in an empty folder."""
    held = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(held, timeout=600, resources={"metadata": {"path": folder}}).execute()
    parts = []
    for cell in held.cells:
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
        given = "\n\n".join(filter(None, map(_output, cell.get("outputs", ()))))
        parts.append(given.replace("\n```\n\n```text\n", "\n"))  # what was printed, line by line
    return "\n\n".join(filter(None, parts)) + "\n"


def _output(output: Any) -> str:
    """An output of a cell as Markdown."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"].strip()}">'
    html, text = data.get("text/html", ""), data["text/plain"].rstrip()
    if "<table" in html or "<img" in html:
        return html
    return "" if text.startswith("<IPython") or not text else f"```text\n{text}\n```"


class Page(HTMLParser):
    """The links of a page, as (tag, address), and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.anchors |= {given.get("id") or "", given.get("name") or ""}
        if address := given.get(SOURCE.get(tag, "")):
            self.links.append((tag, address))


def faults() -> Iterator[str]:
    """What is wrong with the links of the site."""
    page = cache(Page)
    for path in sorted(SITE.rglob("*.html")):
        for tag, address in page(path).links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag != "a" and parts.scheme != "data":
                    yield f"{path.relative_to(SITE)} fetches {address}"
                continue
            target = (SITE if parts.path.startswith("/") else path.parent) / unquote(parts.path).lstrip("/")
            target = target / "index.html" if target.is_dir() and parts.path else target if parts.path else path
            if not target.is_file():
                yield f"{path.relative_to(SITE)} links to {address}, which is not there"
            elif target.suffix == ".html" and unquote(parts.fragment) not in page(target).anchors:
                yield f"{path.relative_to(SITE)} links to {address}, an anchor that is not there"


def main() -> None:
    """Write the pages, build the site, check it."""
    GENERATED.mkdir(exist_ok=True)
    pages = {"fields": fields, "names": names, "commands": commands, NOTEBOOK.stem: notebook}
    for name, write in pages.items():
        (GENERATED / f"{name}.md").write_text(write(), encoding="utf-8")
    build = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    if subprocess.run(build, cwd=HOME, check=False).returncode:
        sys.exit("the site was not built")
    if found := list(faults()):
        sys.exit("\n".join(found))
    print(f"{SITE / 'index.html'}, {len(list(SITE.rglob('*.html')))} pages; no broken link")


if __name__ == "__main__":
    main()
