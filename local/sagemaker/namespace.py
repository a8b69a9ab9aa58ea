"""A container's view of the machine without a container engine: Linux user, mount, process and network namespaces.

Inside, ``/opt/ml`` is this host's own folder, ``algo-1`` .. ``algo-N`` resolve
to loopback addresses of their own, the program is process 1 (so a SIGTERM that
an entry point does not pass on is lost, as on AWS), and with network isolation
there is only a loopback. Everything else of the machine stays where it is: the
private root is a small tmpfs into which the real entries are bound.

Standard library only and no imports of this package: it runs in ``warden``,
before anything else of a job.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

NEWNS, NEWUTS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x10000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_UNBINDABLE, MS_PRIVATE = 0x1000, 0x4000, 0x20000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
ROOT = Path("/")


def enter(*, isolated: bool) -> None:
    """Become root of a new user namespace; with ``isolated``, in a network that has only a loopback.

    Raises OSError where the system does not allow it. The process must have one thread.
    """
    user, group = os.getuid(), os.getgid()
    _call("unshare", NEWUSER | (NEWNET if isolated else 0))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if isolated:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def separate(hostname: str) -> None:
    """Give this process its own mounts and host name, and its next child process number 1."""
    _call("unshare", NEWNS | NEWUTS | NEWPID)
    _call("sethostname", hostname.encode(), len(hostname))
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def arrange(staging: str, binds: list[tuple[str, str]]) -> None:
    """Change root to the machine's own, with ``binds`` in it; called by process 1.

    Args:
        staging: an empty folder to build the root on.
        binds: (path inside, folder or file outside), the path absent or of the same kind.
    """
    root = Path(staging)
    _call("mount", b"tmpfs", staging.encode(), b"tmpfs", 0, b"mode=0755")
    _call("mount", b"none", staging.encode(), None, MS_UNBINDABLE, None)  # or the root would be inside itself
    missing = {Path(inside) for inside, _ in binds if not os.path.lexists(inside)}
    made = {ROOT} | {parent for path in missing for parent in path.parents}
    _copy_tree(ROOT, root, made)
    for inside, outside in binds:
        _bind(Path(outside), root / inside.lstrip("/"))
    _call("mount", b"proc", str(root / "proc").encode(), b"proc", 0, None)
    os.chroot(staging)
    os.chdir("/")


def _copy_tree(folder: Path, copy: Path, made: set[Path]) -> None:
    """Bind the entries of ``folder`` into ``copy``; the folders in ``made`` are made anew and entered."""
    entries = list(os.scandir(folder)) if folder.is_dir() else []
    for entry in entries:
        target = copy / entry.name
        if entry.is_symlink():
            target.symlink_to(os.readlink(entry.path))
        elif Path(entry.path) in made:
            target.mkdir()
            _copy_tree(Path(entry.path), target, made)
        elif entry.path == "/proc":
            target.mkdir()
        else:
            _bind_if_allowed(Path(entry.path), target)
    for path in made:
        if path.parent == folder and path != folder and not (copy / path.name).exists():
            (copy / path.name).mkdir()
            _copy_tree(path, copy / path.name, made)


def _bind_if_allowed(source: Path, target: Path) -> None:
    try:
        _bind(source, target)
    except OSError as error:  # a foreign mount or an unreadable entry: the job rarely needs it, its log says so
        print(f"{source} is not visible in the container: {error}", file=sys.stderr)


def _bind(source: Path, target: Path) -> None:
    if not target.exists():
        if source.is_dir():
            target.mkdir(parents=True)
        else:
            target.touch()
    _call("mount", str(source).encode(), str(target).encode(), None, MS_BIND | MS_REC, None)


def _call(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, name, None)
    if function is None:
        raise OSError(f"this system has no {name}()")
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


@functools.cache
def unavailable() -> str:
    """Return why namespaces cannot be used on this system, or '' if they can; tried once."""
    if sys.platform != "linux":
        return f"{sys.platform} has no Linux namespaces"
    trial = subprocess.run(
        [sys.executable, "-S", str(Path(__file__).resolve())], capture_output=True, text=True, timeout=30, check=False
    )
    return "" if trial.returncode == 0 else (trial.stderr.strip().splitlines() or ["the trial said nothing"])[-1]


def _try() -> None:
    """Do all of it once: exit 0 if a process 1 with its own /opt/ml came to life."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "root").mkdir()
        Path(folder, "ml").mkdir()
        enter(isolated=True)
        child = os.fork()
        if child == 0:
            separate("algo-1")
            first = os.fork()
            if first == 0:
                arrange(f"{folder}/root", [("/opt/ml", f"{folder}/ml")])
                os._exit(0 if os.getpid() == 1 and os.path.isdir("/opt/ml") else 1)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(status)


if __name__ == "__main__":
    _try()
