"""A container's own Python: what this environment has installed, and room for what a job installs itself.

An image's file system is a container's to change, so ``pip install`` in a job works and leaves nothing behind. Here the
job gets a virtual environment that sees this one's packages: what it installs lies in front of them, and goes with it.
"""

from __future__ import annotations

import sys
import sysconfig
import venv
from pathlib import Path

IMAGE = Path(__file__).with_name("image")
"""Modules that AWS's images have and this environment may lack."""


def environment(folder: Path, *, script_mode: bool) -> Path:
    """Make ``folder`` a container's Python.

    Args:
        script_mode: whether ``train`` is the toolkit's; else it is for the image to bring.

    Returns its folder of programs.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    (packages / "image.pth").write_text(f"{sysconfig.get_path('purelib')}\n{IMAGE}\n")
    programs = folder / "bin"
    _copy_programs(Path(sysconfig.get_path("scripts")), programs)
    if not script_mode:
        (programs / "train").unlink(missing_ok=True)
    return programs


def _copy_programs(source: Path, target: Path) -> None:
    """Copy the console scripts (``pip``, ``torchrun``, ``train``) so that the interpreter in ``target`` runs them."""
    ours, theirs = f"#!{source}/python".encode(), f"#!{target}/python".encode()
    for path in source.iterdir():
        if path.is_symlink() or not path.is_file() or (target / path.name).exists():
            continue
        with path.open("rb") as file:
            if file.read(len(ours)) != ours:
                continue
            (target / path.name).write_bytes(theirs + file.read())
        (target / path.name).chmod(0o755)
