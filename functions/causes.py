"""Why something failed, as people read it: a state's cause may be a whole JSON document, a reason a traceback."""

from __future__ import annotations

import json
import re

from functions import halt

MAX_CAUSE = 4000
MAX_HEADLINE = 500


def readable(cause: str) -> str:
    """Return what a person wants to know of a cause.

    It may be the JSON of a SageMaker job, of a Lambda error, of a CodeBuild
    build, or of a nested execution, whose own cause may be any of these.
    """
    try:
        document = json.loads(cause)
    except ValueError:
        return cause[:MAX_CAUSE]
    if not isinstance(document, dict):
        return cause[:MAX_CAUSE]
    if reason := document.get("ExitMessage") or document.get("FailureReason"):  # a processing job's own words first
        return str(reason)[:MAX_CAUSE]
    if document.get("errorType") in halt.ERRORS:
        return str(document["errorMessage"])[:MAX_CAUSE]  # where the function raised it says nothing of training
    if "errorMessage" in document:
        trace = document.get("stackTrace") or document.get("trace") or []
        lines = [f"{document.get('errorType', 'Error')}: {document['errorMessage']}", *map(str.rstrip, map(str, trace))]
        return "\n".join(lines)[:MAX_CAUSE]
    if "ExecutionArn" in document:
        return f"{document.get('Error', document.get('Status'))}: {readable(document.get('Cause', ''))}"[:MAX_CAUSE]
    if phases := document.get("Build", {}).get("Phases"):
        messages = [context.get("Message", "") for phase in phases for context in phase.get("Contexts", [])]
        return "The image was not built: " + "; ".join(filter(None, messages))[:MAX_CAUSE]
    return cause[:MAX_CAUSE]


def headline(cause: str) -> str:
    """Return a cause in one line: of a traceback the last, which names the exception; of a killed rank the signal."""
    killed = re.search(r"rank +: (\d+).*?traceback : (Signal .+?) received", cause, re.DOTALL)  # torchrun's words
    if killed:
        return f"rank {killed[1]} was ended by {killed[2]}"
    lines = [line.strip() for line in cause.splitlines() if line.strip()]
    if not lines:
        return ""
    if any(re.search(r'Traceback|(^|: +)File "', line) for line in lines):  # its beginning may have been cut off
        return lines[-1][:MAX_HEADLINE]
    return lines[0][:MAX_HEADLINE]
