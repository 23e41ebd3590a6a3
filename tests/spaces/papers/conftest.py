"""Shared by the tests of papers."""

import pytest

from spaces import STUDIES, published


@pytest.fixture
def key():
    """The cell_key of one cell."""

    def find(study, row, column=""):
        (found,) = [c.config.cell_key for c in STUDIES[study].cells() if (c.row, c.column) == (row, column)]
        return found

    return find


@pytest.fixture
def find_value():
    """The one published value of a study's row, column and metric."""

    def find(study, row, column, metric):
        lines = published(STUDIES[study].published)
        (found,) = [line for line in lines if (line.row, line.column, line.metric) == (row, column, metric)]
        return found

    return find
