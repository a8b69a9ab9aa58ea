"""Gap: tuning jobs do not tune.

AWS launches training jobs with values it chooses, several at a time, learns from
their objective metric and tells the best. moto says Completed at once with a made-up
best training job, and can neither stop it nor list its training jobs. Closed by
``local/sagemaker/tuning.py``: real training jobs, chosen by Optuna.

Not emulated: Autotune, AutoParameters, completion on convergence (refused).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api
from local.sagemaker.tuning_api import TuningJobs

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Do nothing yet: ``sagemaker_training_jobs`` hands over what runs the training jobs."""


def answer_with(jobs: TuningJobs) -> None:
    """Answer the operations on tuning jobs."""
    api.answer(
        CreateHyperParameterTuningJob=jobs.create,
        DescribeHyperParameterTuningJob=jobs.describe,
        ListHyperParameterTuningJobs=jobs.list_jobs,
        ListTrainingJobsForHyperParameterTuningJob=jobs.list_training_jobs,
        StopHyperParameterTuningJob=jobs.stop,
        DeleteHyperParameterTuningJob=jobs.delete,
    )
