"""First program of a sandbox: ``python -S -P child.py <handler>``.

Standard input is the lifeline: it never says anything and ends when the cloud's
process ends, however that happened; then the whole sandbox goes. After that the
real runtime client takes over, as ``python -m awslambdaric <handler>`` would.

``-S`` keeps development installs (``.pth`` files) out of the sandbox, so that a
handler sees its own archive and the installed packages, nothing else.
"""

import os
import runpy
import select
import signal
import site
import sys
import threading

LAST_LOOK_S = 0.5


def _follow(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Arm the lifeline and run the runtime client for ``sys.argv[1]``."""
    lifeline = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    site.setquit()  # what -S left out and a handler may call
    sys.argv = ["awslambdaric", sys.argv[1]]
    try:
        runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
    finally:  # the runtime client may see sooner than the thread above that the cloud has gone
        if select.select([lifeline], [], [], LAST_LOOK_S)[0]:
            os.killpg(os.getpgrp(), signal.SIGKILL)


main()
