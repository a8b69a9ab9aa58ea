"""State machines run, as JSONata Standard workflows run on AWS.

AWS (Step Functions developer guide: "Transforming data with JSONata", "Handling
errors", "Run a Job", "Redrive") runs a machine however it was created. moto
5.2.5 has two backends: machines from CloudFormation land in the one that runs
nothing, and the one that runs has no JSONata, no ``sagemaker:*.sync``, waits
that nothing interrupts, and errors under other names than AWS gives them (the
tests beside this file show them one by one). Both backends are replaced by
``local.stepfunctions``, behind moto's own API and CloudFormation resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict
from moto.stepfunctions import models, responses

from contract import histories
from local.stepfunctions.backend import LaptopStepFunctions
from local.stepfunctions.imports import Imports

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Put the interpreter behind moto's Step Functions API and CloudFormation."""
    bound = type("StepFunctionBackend", (LaptopStepFunctions,), {"cloud": cloud})
    backends: BackendDict[Any] = BackendDict(bound, "stepfunctions")
    models.stepfunctions_backends = backends
    responses.stepfunctions_backends = backends
    cloud.mount(histories.IMPORT_PATH, Imports(cloud))
    responses.default_user_config["stepfunctions"] = {"execute_state_machine": False}  # moto's own interpreter is off
