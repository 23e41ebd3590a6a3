"""What README says of the product is so."""

import re
from pathlib import Path

from trainers.run_state import RunState

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_of_states_is_the_enum():
    """Those that `plan` shows, and of each whether `run` leaves it alone."""
    table = README.partition("| state of a run |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| (\w+) \| .+ \| (.+) \|$", table, re.MULTILINE))
    assert rows.keys() == {state.value for state in RunState}
    for state in RunState:
        if state.enters_table:
            assert rows[state].startswith("nothing"), state
    assert {state for state in rows if rows[state].startswith("makes it")} == {RunState.MISSING, RunState.STOPPED}
