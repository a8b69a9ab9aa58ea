"""How complex the wildcards of an event pattern are: EventBridge refuses a rule that is too complex.

"Event pattern complexity" (Amazon EventBridge User Guide) tells no number. What is counted is in AWS's own Event Ruler
(github.com/aws/event-ruler, MachineComplexityEvaluator): of all prefixes of a field's wildcard patterns, as many as one
text can match at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MOST = 9
"""Rules of this complexity were made, one of 12 was refused (vals-ai/Valkyrie#278)."""
State = frozenset[tuple[str, int]]
"""Patterns with how much of each a text has matched so far."""


def complexity(patterns: Iterable[str]) -> int:
    """Return how many prefixes of some patterns one text can match; an escaped character counts as two."""
    found = sorted(set(patterns))
    states = [_passed({(pattern, 0) for pattern in found})]
    for state in states:  # it grows meanwhile
        following = {_after(state, character) for character in sorted(set("".join(found)) - {"*"})}
        states += sorted(following - set(states), key=sorted)
    return max(sum(length > 0 for _, length in state) for state in states)


def _after(state: State, character: str) -> State:
    """Return the state after one more character."""
    return _passed(
        {(pattern, length + 1) for pattern, length in state if pattern[length : length + 1] == character}
        | {(pattern, length) for pattern, length in state if length and pattern[length - 1] == "*"}
    )


def _passed(state: set[tuple[str, int]]) -> State:
    """Add what a star matches: nothing, too."""
    return frozenset(each for pattern, length in state for each in _stars(pattern, length))


def _stars(pattern: str, length: int) -> Iterator[tuple[str, int]]:
    yield pattern, length
    if pattern[length : length + 1] == "*":
        yield from _stars(pattern, length + 1)
