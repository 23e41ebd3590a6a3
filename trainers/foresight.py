"""What can be told of a Config before anything is imported or built: its modules' source is read, and not run."""

import ast
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from trainers.messages import did_you_mean
from trainers.names import BACKBONES
from trainers.namesakes import namesake
from trainers.user_code import describe, module_spec, user_modules

GIVEN = 3  # arguments of a backbone's `build` that are no options: config, shape, n_classes; a data set's has none
DEEP = 8  # imports that a name is followed through
DYNAMIC = {"globals", "vars", "locals", "exec", "setattr"}  # what may bind names that no line shows


def check_sources(config: Any) -> None:
    """Raise ValueError, as training would, for a `module:object` that is not there, and for unknown or missing options
    of the backbone and the data set. What the source does not tell is left to `run`."""
    for name in user_modules(config):
        bound = _bound(name)
        if isinstance(bound, ast.ClassDef) and name != config.loss:
            raise ValueError(f"{name!r} should be a function, not a type")
    net, data = config.backbone, config.data_source
    _check_options(
        f"backbone_options of {net!r}",
        BACKBONES[net].build if net in BACKBONES else net,
        config.backbone_options,
        GIVEN,
    )
    if not data.is_image_files:
        _check_options(f"dataset_options of {config.dataset!r}", data.build, config.dataset_options)


def _check_options(field: str, built: str, given: dict[str, Any], first: int = 0) -> None:
    """Raise ValueError for options that the function `module:object` does not take, or that it needs and were not
    given; its `first` arguments are none."""
    build = _bound(built)
    if not isinstance(build, ast.FunctionDef) or build.decorator_list or build.args.kwarg:
        return
    options = [each.arg for each in build.args.kwonlyargs]
    later = [each.arg for each in (*build.args.posonlyargs, *build.args.args)][first:]
    for option in given:
        if option not in (*options, *later):
            raise ValueError(f"{field}: unknown field {option!r}; {did_you_mean(option, options)}")
    for option, default in zip(options, build.args.kw_defaults, strict=True):
        if default is None and option not in given:
            raise ValueError(f"{field}: {option} is missing")


def described(path: str) -> str:
    """What the source of our `module` or `module:object` says of it: the docstring, or the text after an assignment; ""
    where there is none."""
    _, _, name = path.partition(":")
    tree = ast.parse(Path(str(module_spec(path).origin)).read_bytes())
    if not name:
        return ast.get_docstring(tree) or ""
    for statement, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return ast.get_docstring(statement) or ""
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            value = after.value if isinstance(after, ast.Expr) else None
            return str(value.value) if isinstance(value, ast.Constant) else ""
    return ""


def _bound(path: str, depth: int = DEEP) -> ast.stmt | None:
    """What binds the object of `module:object` in its source; None where that cannot be told. Raises ValueError if
    there is no such module, or nothing in it binds such a name."""
    module, _, name = path.partition(":")
    spec = module_spec(path)
    file = Path(spec.origin or "")
    if file.suffix != ".py" or not file.is_file():
        return None
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError, OSError, RecursionError) as error:
        raise ValueError(f"cannot load {path!r}: {describe(error)}") from None
    found = [(each, original) for each, bound, original in _bindings(tree.body) if bound == name]
    if len(found) == 1 and isinstance(found[0][0], ast.ImportFrom):
        statement, original = found[0]
        return _bound(f"{statement.module}:{original}", depth - 1) if depth and not statement.level else None
    if found:
        return found[0][0] if len(found) == 1 else None
    hidden = any(isinstance(n, ast.Name) and n.id in DYNAMIC for n in ast.walk(tree))
    hidden |= any(isinstance(n, ast.Global) and name in n.names for n in ast.walk(tree))
    opens = {bound for _, bound, _ in _bindings(tree.body)} & {"*", "__getattr__"}
    inner = PathFinder.find_spec(f"{module}.{name}", spec.submodule_search_locations or [])
    if hidden or opens or inner or name.startswith("__"):
        return None
    told = f"AttributeError: module {module!r} has no attribute {name!r}{namesake(module)}"
    raise ValueError(f"cannot load {path!r}: {told}")


def _bindings(body: list[Any]) -> Iterator[tuple[Any, str, str]]:
    """What a module's statements bind, blocks included and bodies of functions and classes not: statement, name, and
    the name where it comes from."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement, statement.name, statement.name
            continue
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            for alias in statement.names:
                yield statement, alias.asname or alias.name.partition(".")[0], alias.name
            continue
        for node in ast.iter_child_nodes(statement):
            if not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
                names = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
                yield from ((statement, n.id, n.id) for n in names)
        parts = [statement, *getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
        for part in parts:
            for block in ("body", "orelse", "finalbody"):
                yield from _bindings(getattr(part, block, []))
