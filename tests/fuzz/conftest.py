"""What must hold of any input from outside: it works, or one sentence says why it does not."""

import datetime
import resource

import pytest
from hypothesis import HealthCheck, Phase, given, settings

DEADLINE = datetime.timedelta(seconds=60)  # of one input, on a busy machine
MEMORY = 2 * 2**20  # kB that a fuzz may take beside what the process had


@pytest.fixture
def fuzz(tmp_path, monkeypatch):
    """fuzz(n, strategy, attempt): attempt(input) of n inputs, always the same ones, works or raises ValueError.

    Each within its deadline and the whole within MEMORY; nothing is written but below the folder `inside`.
    """
    (tmp_path / "inside" / "here").mkdir(parents=True)
    (tmp_path / "canary").write_text("alive")
    monkeypatch.chdir(tmp_path / "inside" / "here")

    def run(examples, strategy, attempt):
        ended = {"works": 0, "refused": 0}

        def one(value):
            try:
                attempt(value)
                ended["works"] += 1
            except ValueError:
                ended["refused"] += 1

        chosen = settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=DEADLINE,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        chosen(given(strategy)(one))()
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
        assert sorted(path.name for path in tmp_path.iterdir()) == ["canary", "inside"]
        assert (tmp_path / "canary").read_text() == "alive"
        print(f"{sum(ended.values())} inputs: {ended}")
        assert sum(ended.values()) >= examples * 0.9
        return ended

    return run
