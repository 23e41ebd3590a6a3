"""The nodes of source files, parsed once."""

import ast
from functools import cache


@cache
def nodes_of(path):
    """All nodes of a Python file."""
    return list(ast.walk(ast.parse(path.read_text())))
