"""MLflow's client, whose errors are sentences."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_METRICS = 1_000  # that it takes at a time


class SpokenClient:
    """An MlflowClient of which every method raises ValueError, with the sentence of `unusable`, where MLflow, the
    database below it or the way there fails: reading and writing, at any time."""

    def __init__(self, client: MlflowClient, unusable: Callable[[Exception], ValueError]) -> None:
        self._client, self._unusable = client, unusable
        self.answered = time.monotonic()  # when the store last did, and did what it was asked

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        @wraps(method)
        def spoken(*arguments: Any, **options: Any) -> Any:
            try:
                answer = method(*arguments, **options)
            except (MlflowException, SQLAlchemyError) as error:
                raise self._unusable(error) from error
            self.answered = time.monotonic()
            return answer

        return spoken
