"""Bytes and values that nobody meant to write: mutations of real files and of JSON."""

import json

import pytest
from hypothesis import strategies as st

TOKENS = [
    b"\0",
    b"\xff",
    b"\n",
    b"\r\n",
    b'"',
    b"{}",
    b"[",
    b"NaN",
    b"1e999",
    b"-1",
    b"9" * 30,
    b"\xff\xfe",
    b"\x7f\xff\xff\xff",
]


@st.composite
def mutated(draw, originals):
    """One of some contents with one to four mutations, or random bytes."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=64))
    content = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        head, tail = content[:at], content[at:]
        kind = draw(st.sampled_from(["flip", "cut", "drop", "repeat", "put", "write", "splice"]))
        n = draw(st.integers(1, 40))
        if kind == "flip" and tail:
            content = head + bytes([tail[0] ^ draw(st.integers(1, 255))]) + tail[1:]
        elif kind == "cut":
            content = head
        elif kind == "drop":
            content = head + tail[n:]
        elif kind == "repeat":
            content = head + tail[:n] * 3 + tail[n:]
        elif kind == "put":
            content = head + draw(st.sampled_from(TOKENS)) + tail
        elif kind == "write":
            token = draw(st.sampled_from(TOKENS) | st.binary(min_size=4, max_size=4))
            content = head + token + tail[len(token) :]
        else:
            content = head + draw(st.sampled_from(originals))[at:]
    return content


def nest(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


# a file may spell what json.dumps would not
SPELLED = ["1e999", "-1e999", "NaN", "[" * 100_000, '{"a":' * 50_000, "9" * 5_000, '"\\ud800"', "01", "'x'"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**30, 10**400, 1e308, -0.0, 1e-320]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["../../x", "/etc/passwd", "\0", "\x1b[31m", "x" * 10_000, "os:abort", "folder:/", "running"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
    st.sampled_from([nest(50), {"a": {"b": nest(5)}}]),
)


@st.composite
def mutated_json(draw, objects):
    """The JSON of one of some objects with some of its values and names changed."""
    changed = dict(draw(st.sampled_from(objects)))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*changed, "self", "", "a b", "mlflow.x", "../x"]) | st.text(max_size=4))
        if draw(st.booleans()):
            changed[name] = draw(VALUES)
        else:
            changed.pop(name, None)
    text = json.dumps(changed)
    if changed and draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(list(changed)))
        text = json.dumps({**changed, name: "HERE"}).replace('"HERE"', draw(st.sampled_from(SPELLED)))
    return text.encode(errors="surrogatepass")


def counts(quick, slow):
    """Parametrizes a test by its number of inputs, in the suite and with -m slow."""
    return pytest.mark.parametrize("n", [quick, pytest.param(slow, marks=pytest.mark.slow)])
