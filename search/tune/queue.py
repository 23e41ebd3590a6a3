"""What a sweep asks of the work that is left: which job comes next, and that it be told how it went."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from search.plan import Job
from search.store.delivery import Delivery
from trainers.run_state import RunState

WAIT, DONE = "wait", "done"  # answers of a queue that has no job now, or no more


class RunQueue(ABC):
    """What is to be run: hands out jobs, which the store holds, and learns how they went. What takes a Delivery is
    called in the thread that has the store; it may raise anything, and is then called again."""

    has_own_code = False  # whether a job's Config names code of the user's own
    refused = ""  # why a job cannot be made beside what others made meanwhile

    @abstractmethod
    def reserve(self, delivery: Delivery) -> bool:
        """Create the MLflow runs of a few jobs that come next; whether this is to be called again soon."""

    @abstractmethod
    def next(self) -> Job | str:
        """The next job; WAIT while there may be one later, DONE when there are no more."""

    @abstractmethod
    def digests(self, job: Job) -> Mapping[str, str]:
        """Those of a job's data, feature weights and own code, as they are here."""

    def begin(self, job: Job, delivery: Delivery) -> None:
        """Write that a job has begun."""
        assert job.run_id is not None
        delivery.begin(job.run_id, job.config)

    def ended(self, job: Job, state: RunState) -> None:  # noqa: B027 - most queues need not know
        """A run ended."""

    @abstractmethod
    def update_parent(self, job: Job, delivery: Delivery) -> None:
        """Bring the parent of an ended run up to date."""

    def stops(self, job: Job, images: int, value: float) -> bool:
        """Whether a run that is not yet at its budget is to be stopped at this evaluation."""
        return False
