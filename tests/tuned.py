"""A sweep without Ray, whose workers take seconds to start."""

import math

from search.plan import Job
from search.store.delivery import Delivery
from trainers.loop import train
from trainers.run_state import RunState


def tune_here(queue, store, progress, cluster):
    """As search.tune.driver.tune_runs, one run after the other in this process."""
    delivery = Delivery(store)

    def next_job():
        while queue.reserve(delivery):
            pass
        return queue.next()

    while isinstance(job := next_job(), Job):
        queue.begin(job, delivery)
        for row in train(job.config, store.folder(job.run_id)):
            delivery.deliver(job.run_id)
            state, value = RunState(row["state"]), row[job.config.metric]
            if math.isfinite(value) and queue.stops(job, row["images"], value) and state == RunState.RUNNING:
                state = RunState.STOPPED
                break
        delivery.finish(job.run_id, state)
        queue.ended(job, state)
        queue.update_parent(job, delivery)
        progress.end(job, state, value)
    return []


def without_ray(monkeypatch):
    """Within the patch studies and searches are made in this process."""
    monkeypatch.setattr("search.tune.driver.tune_runs", tune_here)
    monkeypatch.setattr("search.tune.cluster.Cluster.start", lambda *_: 1)
    monkeypatch.setattr("search.tune.cluster.Cluster.share", 0.0)
    monkeypatch.setattr("search.store.Store.prepare", lambda _: None)  # else made beside it, seconds to import
