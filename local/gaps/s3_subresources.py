"""S3 operations on sub-resources that moto does not know are refused.

AWS addresses them by a query parameter: ``PUT /bucket?analytics`` configures
analytics. moto ignores a parameter it does not know: that request creates a
bucket, and ``GET /bucket?metrics`` lists objects. A silent wrong answer is worse
than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlparse

from moto.s3.responses import S3Response

if TYPE_CHECKING:
    from local.cloud import Cloud

_UNKNOWN = frozenset(
    {"abac", "analytics", "annotation", "intelligent-tiering", "metadataAnnotationTable", "metadataConfiguration",
     "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics", "renameObject", "requestPayment",
     "session", "torrent"}
)  # fmt: skip


def install(cloud: Cloud) -> None:
    """Refuse requests with a parameter that names such a sub-resource."""
    answer = S3Response.ambiguous_response

    def ambiguous_response(self: S3Response, request: Any, full_url: str, headers: Any) -> Any:
        asked = {name for name, _ in parse_qsl(urlparse(full_url).query, keep_blank_values=True)}
        if unknown := sorted(asked & _UNKNOWN):
            raise NotImplementedError(f"sub-resource {', '.join(unknown)}")
        return answer(self, request, full_url, headers)

    setattr(S3Response, "ambiguous_response", ambiguous_response)  # noqa: B010
