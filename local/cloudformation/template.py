"""Templates: parsing, and the order in which resources can be made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml

from local.cloudformation.errors import ValidationError

_SUBSTITUTION = re.compile(r"\$\{([^!][^}]*)\}")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms; dates stay text."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> dict[str, Any]:
    """Return the template in ``text`` (JSON or YAML); raise ValidationError when it is none."""
    try:
        template = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Loader)
    except (ValueError, yaml.YAMLError) as error:
        raise ValidationError(f"Template format error: {error}") from error
    if not isinstance(template, dict) or not template.get("Resources"):
        raise ValidationError("Template format error: At least one Resources member must be defined.")
    for name, resource in template["Resources"].items():
        if not isinstance(resource, dict) or "Type" not in resource:
            raise ValidationError(f"Template format error: [/Resources/{name}] Every Resources object must have a Type")
    _check_references(template)
    return template


def references(value: Any) -> Iterator[str]:
    """Yield every logical id (or parameter) that ``value`` refers to."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for name, argument in value.items():
            yield from _references_of(name, argument)


def _references_of(name: str, argument: Any) -> Iterator[str]:
    if name == "Ref" and isinstance(argument, str):
        yield argument
    elif name == "Fn::GetAtt":
        yield argument.split(".", 1)[0] if isinstance(argument, str) else argument[0]
    elif name == "Fn::Sub":
        text, own = (argument, {}) if isinstance(argument, str) else argument
        yield from references(own)
        yield from (match.split(".", 1)[0].strip() for match in _SUBSTITUTION.findall(text) if match not in own)
    else:
        yield from references(argument)


def creation_order(template: dict[str, Any]) -> list[str]:
    """Return the logical ids so that each comes after what it refers to; otherwise as written."""
    resources = template["Resources"]
    position = {name: index for index, name in enumerate(resources)}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name, resource in resources.items():
        depends = resource.get("DependsOn", [])
        explicit = [depends] if isinstance(depends, str) else depends
        implicit = (other for other in references(resource.get("Properties", {})) if other in resources)
        sorter.add(name, *sorted({*explicit, *implicit} - {name}, key=position.__getitem__))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        names = ", ".join(sorted(set(error.args[1])))
        raise ValidationError(f"Circular dependency between resources: [{names}]") from error


def _check_references(template: dict[str, Any]) -> None:
    known = {*template["Resources"], *template.get("Parameters", {})}
    used = set(references(template["Resources"])) | set(references(template.get("Outputs", {})))
    depends = [resource.get("DependsOn", []) for resource in template["Resources"].values()]
    used |= {name for item in depends for name in ([item] if isinstance(item, str) else item)}
    unknown = sorted(name for name in used - known if not name.startswith("AWS::"))
    if unknown:
        raise ValidationError(
            f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] "
            "in the Resources block of the template"
        )
