"""The states of a machine, a branch or an iteration, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.stepfunctions import states
from local.stepfunctions.callbacks import Callbacks
from local.stepfunctions.history import Trail
from local.stepfunctions.scope import Scope
from local.stepfunctions.visit import Visit

if TYPE_CHECKING:
    from local.cloud import Cloud


@dataclass(frozen=True, kw_only=True)
class World:
    """What every state of an execution shares.

    Args:
        context: ``Execution`` and ``StateMachine`` of the context object.
        cloud: where the services are, and how fast waits pass.
        callbacks: where task tokens are kept.
    """

    context: Mapping[str, Any]
    cloud: Cloud
    callbacks: Callbacks


@dataclass(kw_only=True)
class Position:
    """Where a flow is: a redrive goes on from here.

    Args:
        state: the state it entered last.
        input: of that state.
        inner: of a Parallel or Map, by its number, how far each branch or iteration got.
    """

    state: str
    input: Any
    inner: dict[int, Inner] = field(default_factory=dict)


@dataclass(kw_only=True)
class Inner:
    """How far a branch or an iteration got."""

    flow: Flow
    done: bool = False
    output: Any = None


@dataclass(kw_only=True)
class Flow:
    """One run through ``{"StartAt": ..., "States": ...}``.

    Args:
        definition: the machine, branch or item processor.
        world: what the execution shares.
        scope: what interrupts it.
        trail: its chain of events.
        outer: variables of the workflow around it; it sees them and cannot change them.
        map_context: ``$states.context.Map`` of an iteration.
        variables: its own variables.
    """

    definition: Mapping[str, Any]
    world: World
    scope: Scope
    trail: Trail
    outer: Mapping[str, Any] = field(default_factory=dict)
    map_context: Mapping[str, Any] | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    position: Position | None = None

    @property
    def visible(self) -> dict[str, Any]:
        """The variables that an expression sees."""
        return {**self.outer, **self.variables}

    def run(self, value: Any) -> Any:
        """Run from StartAt with this input and return the output.

        Raises:
            StateFailed: a state failed and nothing caught it.
            Interrupted: the execution, or this branch of it, must end.
        """
        return self.go_on(Position(state=self.definition["StartAt"], input=value))

    def go_on(self, position: Position) -> Any:
        """Run from a position; see ``run``."""
        name: str | None = position.state
        value = position.input
        self.position = position
        while name is not None:
            self.scope.check()
            name, value = states.run(Visit(self, name, self.definition["States"][name], value))
            self.position = Position(state=name, input=value) if name is not None else self.position
        return value

    def resume(self, before: Flow) -> Any:
        """Go on where another flow through the same states was left; see ``run``."""
        if before.position is None:
            raise RuntimeError("the flow before never began")
        self.variables.update(before.variables)
        return self.go_on(before.position)

    def remember(self, index: int, flow: Flow) -> Inner:
        """Note that a branch or iteration of the present state runs as this flow."""
        assert self.position is not None
        self.position.inner[index] = Inner(flow=flow)
        return self.position.inner[index]

    def inner(
        self, definition: Mapping[str, Any], scope: Scope, trail: Trail, map_context: Mapping[str, Any] | None = None
    ) -> Flow:
        """Return the flow of a branch or iteration inside this one."""
        return Flow(
            definition=definition,
            world=self.world,
            scope=scope,
            trail=trail,
            outer=self.visible,
            map_context=map_context if map_context is not None else self.map_context,
        )
