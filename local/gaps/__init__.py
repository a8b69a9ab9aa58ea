"""What moto lacks, one file a gap, each named after what it closes.

A gap is a module with ``install(cloud)``. It is found by its name and installed
before the server starts. Beside each stands a test that shows that vanilla moto
still has the gap: when that test fails, moto has caught up and the file goes.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.cloud import Cloud


def install_all(cloud: Cloud) -> list[str]:
    """Install every gap in alphabetical order; return their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    for name in names:
        importlib.import_module(f"{__name__}.{name}").install(cloud)
    return names
