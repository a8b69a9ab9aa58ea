"""Gap: SageMaker requests are hardly checked.

AWS refuses a malformed, over-long or duplicate name, an unknown instance type, a
missing or wrongly typed member, with ValidationException before anything is
made. moto accepts nearly anything, and answers some operations with pretended
results. Closed by checking every request against the service model, and by
refusing the operations that the laptop cloud does not do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Check the requests of every SageMaker operation."""
    api.check_requests()
