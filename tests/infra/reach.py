"""What the code of a function can ask of AWS: the clients' calls in all that its handler reaches, run or not.

A name that a definition mentions counts as reached. Calls whose name is made at run time are not seen; nor is what an
imported module does by names that it looks up, as the recipes are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# At import, before any laptop cloud of this process has threads: until 3.11.8 Python cannot parse in two at a time.
TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for room in ("functions", "training", "contract")
    for path in sorted((ROOT / room).rglob("*.py"))
}
PREFIXES = {"service-quotas": "servicequotas", "sagemaker-runtime": "sagemaker", "stepfunctions": "states"}
"""Of IAM's actions, where boto3 calls a service something else."""
ACTIONS = {
    ("lambda", "invoke"): "InvokeFunction", ("s3", "head_object"): "GetObject", ("s3", "list_objects_v2"): "ListBucket",
    ("s3", "delete_objects"): "DeleteObject", ("s3", "list_object_versions"): "ListBucketVersions",
    ("s3", "download_file"): "GetObject", ("s3", "upload_file"): "PutObject",
}  # fmt: skip
"""Of calls that are not called like their action."""
NO_ACTIONS = {"exceptions", "get_paginator", "transact_write_items"}
"""Names of clients that need no action of their own; a transaction needs those of its items."""
Name = tuple[str, str]
"""A module, and a name that it defines or imports."""


def actions(handler: str) -> dict[str, str]:
    """Return the actions of IAM that a handler's code can need, each with a place that does.

    Args:
        handler: ``module.function``.
    """
    module, _, function = handler.rpartition(".")
    found: dict[str, str] = {}
    seen: set[Name] = set()
    left: list[Name] = [(module, function)]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            found |= dict.fromkeys(_needed(name), ".".join(name))
            left += _mentioned(name)
    return found


@cache
def _definitions(module: str) -> dict[str, list[ast.stmt]]:
    """Return what defines each name of a module: functions, classes, tables of functions."""
    found: dict[str, list[ast.stmt]] = {}
    for node in TREES[module].body if module in TREES else ():
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.setdefault(name, []).append(node)
            case ast.Assign() | ast.AnnAssign():
                for each in ast.walk(node):
                    if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                        found.setdefault(each.id, []).append(node)
    return found


@cache
def _imports(module: str) -> dict[str, Name]:
    """Return what a module imports, by the names that it has for it."""
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@cache
def _mentioned(name: Name) -> list[Name]:
    """Return the names that what defines a name mentions, with the modules that they come from."""
    found: list[Name] = []
    for definition in _definitions(name[0]).get(name[1], ()):
        imports = _imports(name[0])
        for node in ast.walk(definition):
            match node:
                case ast.Name(id=mentioned):
                    found.append(imports.get(mentioned, (name[0], mentioned)))
                case ast.Attribute(value=ast.Name(id=of), attr=mentioned) if of in imports:
                    found.append((".".join(imports[of]), mentioned))
    return found


@cache
def _needed(name: Name) -> list[str]:
    return [action for definition in _definitions(name[0]).get(name[1], ()) for action in _calls(definition)]


def _calls(definition: ast.stmt) -> Iterator[str]:
    """Yield the actions of ``client("s3").get_object``, of its paginators, and of variables that are clients."""
    clients = dict(_clients(definition))
    for node in ast.walk(definition):
        match node:
            case ast.Call(func=ast.Attribute(value=client, attr="get_paginator"), args=[ast.Constant(value=operation)]):
                name = str(operation)
            case ast.Attribute(value=client, attr=name):
                pass
            case _:
                continue
        service = clients.get(ast.unparse(client)) or _service(client)
        if service and name not in NO_ACTIONS:
            action = ACTIONS.get((service, name), "".join(word.capitalize() for word in name.split("_")))
            yield f"{PREFIXES.get(service, service)}:{action}"


def _clients(definition: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield the variables that are clients, with their services; arguments, where they are called like a service."""
    for node in ast.walk(definition):
        match node:
            case ast.arg(arg="s3"):
                yield "s3", "s3"
                continue
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = list(zip(targets, values, strict=True))
            case ast.Assign(targets=[target], value=value):
                pairs = [(target, value)]
            case _:
                continue
        yield from ((ast.unparse(target), service) for target, value in pairs if (service := _service(value)))


def _service(node: ast.expr) -> str:
    """Return the service of ``client("s3")``, or of ``shared.client("s3")``; "" for anything else."""
    match node:
        case ast.Call(func=ast.Name(id="client") | ast.Attribute(attr="client"), args=[ast.Constant(value=service)]):
            return str(service)
    return ""
