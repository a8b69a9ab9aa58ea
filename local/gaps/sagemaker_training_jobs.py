"""Gap: training jobs do not train.

AWS runs the container on each host, from Starting to Completed, Failed or
Stopped, and stores its model. moto says Completed at once, lets a name be used
again, answers StopTrainingJob with an internal error, and describes empty
structures (``VpcConfig: {}``) that AWS leaves out. Closed by
``local/sagemaker/training.py``: real processes.

Not emulated: heterogeneous clusters, Pipe mode, warm pools, script mode of an
image's own entry point, the spot discount (BillableTimeInSeconds equals
TrainingTimeInSeconds), metrics of machines other than GPUUtilization.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api
from local.sagemaker.training_api import TrainingJobs
from local.sagemaker.tuning_api import TuningJobs

from . import sagemaker_tuning_jobs

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations on training jobs."""
    jobs = TrainingJobs(cloud)
    api.answer(
        CreateTrainingJob=jobs.create,
        DescribeTrainingJob=jobs.describe,
        ListTrainingJobs=jobs.list_jobs,
        StopTrainingJob=jobs.stop_job,
    )
    sagemaker_tuning_jobs.answer_with(TuningJobs(cloud, jobs))
