"""The Spark engine: parts of an upload are read by the executors of a cluster.

Each part goes to an executor with a copy of the source, and what it found comes back: statistics that merge, rows to
set aside, what its shards hold. Files are read from and written to the same folders on every machine: SageMaker copies
the upload to each host of a processing job, and the outputs of each host to S3.

Needs pyspark and Java; on AWS, the image sagemaker-spark-processing has both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from pyspark.sql import SparkSession

from training import prepare
from training.engine import Embedded
from training.rejection import Rejected

T = TypeVar("T")


class Spark:
    """A Spark cluster.

    Args:
        session: of the cluster; its executors must be able to import training and contract.
    """

    elsewhere = True

    def __init__(self, session: SparkSession) -> None:
        self._context = session.sparkContext

    def __reduce__(self) -> tuple[type[Embedded], tuple[()]]:
        """An executor does itself what it is given."""
        return Embedded, ()

    def map(self, function: Callable[[int], T], parts: int) -> Iterator[T]:
        """Yield ``function(part)`` for each part, in order; parts are done side by side.

        Raises:
            Rejected: when a part is.
        """
        numbers = self._context.parallelize(range(parts), parts)
        for result, reasons in numbers.map(lambda part: _guarded(function, part)).collect():
            if reasons is not None:
                raise Rejected(*reasons)
            yield result


def _guarded(function: Callable[[int], T], part: int) -> tuple[T | None, tuple[str, ...] | None]:
    """Return a result, or why the upload is rejected: Spark would try again, then tell no more than a traceback."""
    try:
        return function(part), None
    except Rejected as rejected:
        return None, rejected.reasons


def main() -> None:
    """Prepare in a processing job, on its Spark cluster."""
    builder = SparkSession.builder.appName("prepare")
    session = builder.config("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"]).getOrCreate()
    try:
        prepare.main(Spark(session))
    finally:
        session.stop()
