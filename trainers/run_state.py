"""The states of a run: one enum that says which have ended, enter a table, and what MLflow shows."""

from enum import StrEnum


class RunState(StrEnum):
    """State of a run. Its value stands in evaluations, run folders, tags and tables; it compares equal to that text."""

    MISSING = "missing"  # not begun
    RUNNING = "running"  # a process is making it now
    INTERRUPTED = "interrupted"  # begun, and held by nobody: it goes on from its checkpoint
    DONE = "done"  # it reached its budget
    DIVERGED = "diverged"  # a loss or a weight was not finite, a logit too large, or Langevin chains left the data
    STOPPED = "stopped"  # a scheduler ended it
    FAILED = "failed"  # an error ended it

    @property
    def has_ended(self) -> bool:
        """Whether nothing goes on from it by itself."""
        return self in (RunState.DONE, RunState.DIVERGED, RunState.STOPPED, RunState.FAILED)

    @property
    def enters_table(self) -> bool:
        """Whether it counts in a table: with its numbers or, diverged, as a count."""
        return self in (RunState.DONE, RunState.DIVERGED)

    @property
    def mlflow_status(self) -> str:
        """The status that MLflow shows for it: stopped is no failure, and the tag `state` tells it from done."""
        return {
            RunState.MISSING: "SCHEDULED",
            RunState.RUNNING: "RUNNING",
            RunState.INTERRUPTED: "KILLED",
            RunState.FAILED: "FAILED",
        }.get(self, "FINISHED")


ENDED = frozenset(state for state in RunState if state.has_ended)
IN_TABLE = frozenset(state for state in RunState if state.enters_table)
