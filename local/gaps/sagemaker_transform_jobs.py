"""Gap: transform jobs ask no model.

AWS brings servers of the model up, sends them every object of the input, and
stores the answers. moto says Completed at once, stores nothing, and cannot stop
a job. Closed by ``local/sagemaker/transform.py``: real servers.

Not emulated: RecordIO and TFRecord, compressed input, DataProcessing (filters
and joins), data capture, a container's /execution-parameters, CloudWatch
metrics of instances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api
from local.sagemaker.transform_api import TransformJobs

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations on transform jobs."""
    jobs = TransformJobs(cloud)
    api.answer(
        CreateTransformJob=jobs.create,
        DescribeTransformJob=jobs.describe,
        ListTransformJobs=jobs.list_jobs,
        StopTransformJob=jobs.stop_job,
    )
