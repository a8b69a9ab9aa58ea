"""``tandem sleep`` and ``tandem wake``: a real-time endpoint goes while nobody needs it, and comes back."""

from __future__ import annotations

from cli.options import Context, Project
from cli.sleeping import change


def sleep(
    context: Context,
    project: Project,
) -> int:
    """Delete the model's real-time endpoint, which has no stop button and costs money; `tandem wake` makes it again."""
    return change(context, project, asleep=True)


def wake(
    context: Context,
    project: Project,
) -> int:
    """Make the endpoint of a sleeping model again; within its sleeping hours it stays awake until they end."""
    return change(context, project, asleep=False)
