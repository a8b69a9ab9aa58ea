"""The Lambda function: ``python -m awslambdaric serving.lambda_handler.handler`` in the server's image.

Importing it fetches, checks and loads the model, so that this belongs to the function's initialisation.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from contract import names
from serving import fetch
from serving.lambda_call import answer
from serving.logs import configure, event
from serving.model import load

configure()
_folder = Path(tempfile.gettempdir(), "tandem")
fetch.clear(_folder)
_model = load(fetch.fetch(os.environ[names.MODEL_URI], os.environ[names.MODEL_SHA256], _folder, os.environ))
event("ready", run=_model.manifest.run)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request (contract.lambda_calls)."""
    return answer(_model, event)
