"""Gap: processing jobs do not process.

AWS brings the inputs, runs the container, and stores the outputs. moto says
Completed at once and drops Environment and ProcessingResources. Closed by
``local/sagemaker/processing.py``: real processes.

Not emulated: dataset definitions (Athena, Redshift), feature store outputs,
Pipe mode, app-managed inputs and outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api
from local.sagemaker.processing_api import ProcessingJobs

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations on processing jobs."""
    jobs = ProcessingJobs(cloud)
    api.answer(
        CreateProcessingJob=jobs.create,
        DescribeProcessingJob=jobs.describe,
        ListProcessingJobs=jobs.list_jobs,
        StopProcessingJob=jobs.stop_job,
    )
