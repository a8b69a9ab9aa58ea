"""What a rule makes of an event before a target gets it: Input, InputPath or InputTransformer."""

from __future__ import annotations

import json
import re
from typing import Any

_PLACEHOLDER = re.compile(r'("?)<([A-Za-z0-9_.-]+)>("?)')


def target_text(target: dict[str, Any], event: dict[str, Any], rule: dict[str, str]) -> str:
    """Return the JSON text that ``target`` receives for ``event``.

    Args:
        target: as given to PutTargets.
        event: the envelope.
        rule: ``name`` and ``arn``, for the reserved variables.
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(select(target["InputPath"], event))
    if "InputTransformer" in target:
        return _transform(target["InputTransformer"], event, rule)
    return json.dumps(event)


def select(path: str, event: Any) -> Any:
    """Return what a JSON path such as ``$.detail.object.key`` or ``$.resources[0]`` names, or None."""
    value = event
    for name, index in re.findall(r"\.([^.\[\]]+)|\[['\"]?([^\]'\"]+)['\"]?\]", path):
        key = name or index
        if isinstance(value, list) and key.isdigit():
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _transform(transformer: dict[str, Any], event: dict[str, Any], rule: dict[str, str]) -> str:
    """Fill the template: a bare ``<name>`` becomes JSON, one inside a string becomes text in that string."""
    values = {name: select(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    values |= {
        "aws.events.rule-arn": rule["arn"],
        "aws.events.rule-name": rule["name"],
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": event,
        "aws.events.event.json": event,
    }
    template = transformer["InputTemplate"]

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[2])
        quoted = template[: match.start()].count('"') - template[: match.start()].count('\\"')
        if quoted % 2 == 0 and not match[1]:  # outside of any string
            return json.dumps(value) + match[3]
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        return match[1] + json.dumps(text)[1:-1] + match[3]

    return _PLACEHOLDER.sub(fill, template)
