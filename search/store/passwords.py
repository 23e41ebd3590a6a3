"""Passwords in addresses: found, refused, and never shown."""

import re
from urllib.parse import unquote, unquote_plus

SECRET = r"pass|pwd|secret|token|key|sig|sas|credential(?!_kind)|odbc_connect"  # in names of parameters that may be one


def redacted(uri: str) -> str:
    """An address to show: without its login, and without its parameters, which may be passwords too; no more than its
    scheme where one cannot tell where they end."""
    if uri.startswith("sqlite"):
        return uri.partition("?")[0]
    scheme, colon, rest = re.fullmatch(r"([^:/@]*)(:/*|)(.*)", uri, re.DOTALL).groups()  # type: ignore[union-attr]
    login, _, place = rest.rpartition("@")
    return f"{scheme}{colon}" + ("***" if re.search(r"\?.*=", login, re.DOTALL) else re.split("[?#;]", place)[0])


def holds_password(uri: str) -> bool:
    """Whether the URI of an object store has a password where one can be: beside the user, or among its parameters. One
    with a slash or a question mark in it looks like a port that is none."""
    scheme, _, rest = uri.partition("://")
    login, at, place = re.split("[/?#]", rest)[0].rpartition("@")
    _, colon, port = re.sub(r"\[.*\]", "", place).partition(":")
    parameters = [unquote(part).partition("=") for part in rest.partition("?")[2].split("&")]
    return (
        ":" in unquote(login)
        or bool(colon and not port.isdigit())
        or bool(at and scheme.lower() == "s3")
        or any("@" in value or re.search(SECRET, name, re.IGNORECASE) for name, _, value in parameters)
    )


def passwords(uri: str) -> list[str]:
    """All that may be a password in a database's URI, or a part of one, as a driver may quote it: the longest first."""
    rest = uri.partition("://")[2]
    login = rest.rpartition("@")[0].partition(":")[2]
    parameters = [part.partition("=") for part in re.split("[?&;]", rest)[1:]]
    found = {login, *re.split("[@:/?#]", login)}
    found |= {value for name, _, value in parameters if re.search(SECRET, unquote(name), re.IGNORECASE)}
    found |= {unquote(each) for each in found} | {unquote_plus(each) for each in found}
    return sorted(found - {""}, key=len, reverse=True)
