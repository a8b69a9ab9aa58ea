"""How many GPUs an instance type of SageMaker has."""

from __future__ import annotations

import re

SEVERAL = {
    "ml.g4dn.12xlarge": 4,
    "ml.g5.12xlarge": 4, "ml.g5.24xlarge": 4, "ml.g5.48xlarge": 8,
    "ml.g6.12xlarge": 4, "ml.g6.24xlarge": 4, "ml.g6.48xlarge": 8,
    "ml.g6e.12xlarge": 4, "ml.g6e.24xlarge": 4, "ml.g6e.48xlarge": 8,
    "ml.p4d.24xlarge": 8, "ml.p5.48xlarge": 8,
}  # fmt: skip
"""The types with more than one, of those that the price list has (https://aws.amazon.com/ec2/instance-types/)."""


def count(instance: str) -> int:
    """Return the GPUs of one instance: families g* and p* have them."""
    return SEVERAL.get(instance, 1) if re.match(r"ml[.][gp][0-9]", instance) else 0
