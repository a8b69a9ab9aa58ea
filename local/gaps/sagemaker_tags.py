"""Gap: tagging adds the same key twice and fails on model packages.

AWS replaces the value of a key that is there, and tags model packages like
anything else. moto appends, splits a model package's ARN wrongly, and answers
an unknown ARN with an internal error. Closed by ``local/sagemaker/tags.py``;
the resource groups tagging API reads the same tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.sagemaker import api, tags

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the tag operations."""
    api.answer(AddTags=tags.add, ListTags=tags.listed, DeleteTags=tags.remove)
