"""Begins with the weights of the version in service, where this model looks alike; else afresh, and says why.

Weights are taken over by what they mean, not by where they stand: the rows of an embedding by word, the
outputs by label. What is new (a word, a class) begins as it would in a fresh network; the optimiser begins anew.

The network was learned under the statistics of the rows that it first saw. It keeps them, for its
inputs and for the values that it predicts: other ones would shift what each of its weights means.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from contract import keys
from contract.errors import InvalidModel
from contract.manifest import Feature, ModelManifest, Schema
from training import archive
from training.config import TrainConfig
from training.container import Container
from training.recipes import Recipe

CHANNEL, CHAMPION = "champion", "champion"
NORMALISED = ("number", "date", "image", "history", "start")
"""Kinds of features whose statistics are part of the network."""
CLOCK = {"seconds", "months", "phase"}
"""Statistics of a feature that say when its rows are, which is as it is."""
NORMALS = ("mean", "std")
SHOWN = 5
PROBE = "\0probe"  # no word and no label: uploads with such a character are refused
Axes = dict[str, dict[int, list[Hashable]]]


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a training job begins with.

    Attributes:
        schema: this model's.
        note: in words; empty when nobody asked to continue.
        run: that made the weights; empty when it is trained afresh.
        tensors: of that model, by name.
        axes: what the places along its tensors' dimensions are, where they have names.
    """

    schema: Schema
    note: str = ""
    run: str = ""
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    axes: Axes = field(default_factory=dict)

    @property
    def lineage(self) -> dict[str, str]:
        """What the manifest says of it."""
        return {"started_from": self.run, "start_note": self.note} if self.note else {}

    def take_over(self, model: nn.Module, recipe: Recipe, options: Any) -> None:
        """Put the weights into a fresh, undivided model; without any it stays as it is."""
        if not self.run:
            return
        axes = _axes(recipe, self.schema, options)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                pairs = _pairs(axes[name], self.axes[name])
                parameter.copy_(_placed(parameter.detach(), self.tensors[name], pairs))


def find(config: TrainConfig, container: Container, recipe: Recipe, schema: Schema) -> Start:
    """Return what to begin with.

    Raises:
        InvalidModel: when the champion's archive is damaged.
    """
    if config.start != CHAMPION:
        return Start(schema=schema)
    package = container.channel(CHANNEL) / Path(keys.MODEL).name
    if not package.parent.exists():
        return Start(schema=schema, note="was trained afresh: no version of this project is in service yet")
    with tempfile.TemporaryDirectory() as scratch:
        manifest = archive.unpack(package, Path(scratch))
        if manifest.recipe != config.recipe:
            why = f"it was learned with recipe {manifest.recipe!r}, this model with {config.recipe!r}"
            return _afresh(schema, manifest, why)
        tensors = _load(Path(scratch) / keys.MODEL_WEIGHTS)
    return _follow(recipe, recipe.parse_options(config.options), schema, manifest, tensors)


def _load(weights: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise InvalidModel(f"the champion's {weights.name} cannot be read: {error}") from error
    return tensors


def _follow(
    recipe: Recipe, options: Any, schema: Schema, manifest: ModelManifest, tensors: Mapping[str, torch.Tensor]
) -> Start:
    theirs = manifest.schema
    before = recipe.parse_options(manifest.options)
    why = _other_options(recipe, options, before) or _other_task(schema, theirs) or _other_columns(schema, theirs)
    if why:
        return _afresh(schema, manifest, why)
    adopted = _adopt(schema, theirs)
    axes = _axes(recipe, theirs, before)
    with torch.device("meta"):
        network = recipe.network(adopted, options)
    if strange := _other_shape(network, _axes(recipe, adopted, options), tensors, axes):
        return _afresh(schema, manifest, f"its {strange} has another shape")
    note = f"continues run {manifest.run}" + "".join(f"; {news}" for news in _news(schema, theirs))
    return Start(schema=adopted, note=note, run=manifest.run, tensors=tensors, axes=axes)


def _afresh(schema: Schema, manifest: ModelManifest, why: str) -> Start:
    return Start(schema=schema, note=f"was trained afresh, not from the champion (run {manifest.run}): {why}")


def _other_options(recipe: Recipe, ours: Any, theirs: Any) -> str:
    """Tell the first option that differs; those of reading show in the schema, if they change anything."""
    for option in dataclasses.fields(ours):
        now, then = getattr(ours, option.name), getattr(theirs, option.name)
        if now != then and option.name not in recipe.read_options:
            return f"its option {option.name!r} was {then!r}, and is {now!r} now"
    return ""


def _other_task(ours: Schema, theirs: Schema) -> str:
    if ours.task != theirs.task:
        return f"it learned {theirs.task}, this model {ours.task}"
    if ours.task == "regression" and ours.labels != theirs.labels:
        return f"it predicts {_some(theirs.labels)}, this model {_some(ours.labels)}"
    if not set(ours.labels) & set(theirs.labels):
        return f"its classes are {_some(theirs.labels)}, and none of them is here: {_some(ours.labels)}"
    return ""


def _other_columns(ours: Schema, theirs: Schema) -> str:
    now, then = ({_key(feature): feature for feature in schema.features} for schema in (ours, theirs))
    added = [key for key in now if key not in then]
    removed = [key for key in then if key not in now]
    both = [name for name, _ in added if name in dict(removed)]
    if both:
        return f"the column {both[0]!r} is another kind of column now"
    if added or removed:
        told = (("new", added), ("gone", removed))
        return "other columns: " + "; ".join(f"{word} {_some(map(_title, those))}" for word, those in told if those)
    if list(now) != list(then):
        return f"the columns stand in another order: {_some(map(_title, then))}"
    for key, feature in now.items():
        if why := _otherwise(feature, then[key]):
            return f"the column {_title(key)!r} {why}"
    if ours.inputs != theirs.inputs:
        return "its inputs have other sizes: " + "; ".join(f"{t.name} {list(t.shape[1:])}" for t in theirs.inputs)
    return ""


def _key(feature: Feature) -> tuple[str, str]:
    return feature.name, feature.part if feature.kind == "date" else feature.kind


def _title(key: tuple[str, str]) -> str:
    return key[0]


def _otherwise(now: Feature, then: Feature) -> str:
    if now.kind != then.kind:
        return f"was a {then.kind}, and is a {now.kind} now"
    if (now.hashed, now.multiple) != (then.hashed, then.multiple):
        return "is anonymised otherwise"
    steps = [{k: v for k, v in f.statistics.items() if k in ("seconds", "months", "season")} for f in (now, then)]
    return "has another step or season" if steps[0] != steps[1] else ""


def _adopt(ours: Schema, theirs: Schema) -> Schema:
    """Return our schema with the statistics that the network was learned under."""
    features = tuple(
        replace(now, statistics=then.statistics | {name: now.statistics[name] for name in CLOCK & set(now.statistics)})
        if now.kind in NORMALISED
        else now
        for now, then in zip(ours.features, theirs.features, strict=True)
    )
    statistics = dict(ours.statistics)
    if ours.task == "regression":
        statistics |= {name: theirs.statistics[name] for name in NORMALS}
    return replace(ours, features=features, statistics=statistics)


def _news(ours: Schema, theirs: Schema) -> Iterable[str]:
    new = [label for label in ours.labels if label not in theirs.labels]
    gone = [label for label in theirs.labels if label not in ours.labels]
    if new:
        yield f"new classes: {_some(new)}"
    if gone:
        yield f"classes that are gone: {_some(gone)}"
    words = sum(len(set(o.vocabulary) - set(t.vocabulary)) for o, t in zip(ours.features, theirs.features, strict=True))
    if words:
        yield f"{words} new word{'s' * (words > 1)}"


def _some(names: Iterable[str]) -> str:
    """Quote the first few names, each once."""
    each = list(dict.fromkeys(names))
    return ", ".join(map(repr, each[:SHOWN])) + (f" and {len(each) - SHOWN} more" if len(each) > SHOWN else "")


# --- what the dimensions of weights mean ---


def _axes(recipe: Recipe, schema: Schema, options: Any) -> Axes:
    """Return, of each parameter, the names of the places along those dimensions that words or labels stand along.

    Which these are, shows when there is one word or one label more: they are longer then.
    """
    shapes = _shapes(recipe, schema, options)
    axes: Axes = {name: {} for name in shapes}
    for name, axis in _longer(shapes, _shapes(recipe, replace(schema, labels=(*schema.labels, PROBE)), options)):
        axes[name][axis] = list(schema.labels)
    for place, feature in enumerate(schema.features):
        if not feature.vocabulary:
            continue
        wider = replace(feature, vocabulary=(*feature.vocabulary, PROBE))
        features = (*schema.features[:place], wider, *schema.features[place + 1 :])
        for name, axis in _longer(shapes, _shapes(recipe, replace(schema, features=features), options)):
            axes[name].setdefault(axis, []).extend(_codes(feature))
    for name, named in axes.items():
        for axis, places in named.items():
            assert len(places) == shapes[name][axis], f"{name} has {shapes[name]}, and {len(places)} names"
    return axes


def _codes(feature: Feature) -> list[Hashable]:
    """Return what a feature's codes are: missing, its words, what is not known (text) or buckets (of how many)."""
    rest = 1 if feature.kind == "text" else feature.buckets
    named = [(feature.name, "word", word) for word in feature.vocabulary]
    return [(feature.name, "missing"), *named, *((feature.name, "bucket", code, rest) for code in range(rest))]


def _shapes(recipe: Recipe, schema: Schema, options: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in recipe.network(schema, options).named_parameters()}


def _longer(one: Mapping[str, tuple[int, ...]], two: Mapping[str, tuple[int, ...]]) -> Iterable[tuple[str, int]]:
    for name, shape in one.items():
        for axis, (before, after) in enumerate(zip(shape, two[name], strict=True)):
            if before != after:
                yield name, axis


def _other_shape(network: nn.Module, ours: Axes, tensors: Mapping[str, torch.Tensor], theirs: Axes) -> str:
    """Return the name of a parameter that cannot be taken over; empty when all can."""
    for name, parameter in network.named_parameters():
        if name not in tensors or name not in theirs or ours[name].keys() != theirs[name].keys():
            return name
        then = tensors[name].shape
        if len(then) != parameter.dim():
            return name
        if any(size != then[axis] for axis, size in enumerate(parameter.shape) if axis not in ours[name]):
            return name
        if any(then[axis] != len(places) for axis, places in theirs[name].items()):
            return name
    return ""


Pair = tuple[int, torch.Tensor, torch.Tensor]


def _pairs(ours: Mapping[int, list[Hashable]], theirs: Mapping[int, list[Hashable]]) -> list[Pair]:
    """Return of each dimension with names the places that mean the same, here and there."""
    pairs = []
    for axis, places in ours.items():
        known = {name: place for place, name in enumerate(theirs[axis])}
        same = [(place, known[name]) for place, name in enumerate(places) if name in known]
        here, there = zip(*same, strict=True) if same else ((), ())
        pairs.append((axis, torch.tensor(here, dtype=torch.int64), torch.tensor(there, dtype=torch.int64)))
    return pairs


def _placed(new: torch.Tensor, old: torch.Tensor, pairs: Sequence[Pair]) -> torch.Tensor:
    """Return ``new`` with what ``old`` has at the places that mean the same."""
    if not pairs:
        return old
    (axis, here, there), *rest = pairs
    part = _placed(new.index_select(axis, here), old.index_select(axis, there), rest)
    return new.index_copy(axis, here, part)
