"""Whether ml-metadata, whose protocol modules the flavor uses, is here; and what to do if not."""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec

from metastore import FlavorError, Offender

__all__ = ["check_available", "unavailable"]

_INSTALL = "pip install 'metastore-flavor-kubeflow[mlmd]'"


def check_available() -> None:
    """Raise unless ml-metadata is installed; imports nothing of it, which takes its time.

    Raises
    ------
    FlavorError
        It is not; the error says where there are wheels of it, and what this machine is.
    """
    if find_spec("ml_metadata") is None:
        raise unavailable("ml-metadata is not installed")


def unavailable(why: str) -> FlavorError:
    """That the protocol modules cannot be had, with what can be done about it on this machine."""
    return FlavorError(
        f"it needs the protocol modules of ml-metadata, and {why}; there are wheels for Linux "
        "x86_64 (CPython 3.10 and 3.11; 3.12 and 3.13 with glibc 2.39 or newer) and for macOS "
        f"arm64 (CPython 3.10 to 3.13), and this is {_this_machine()}",
        hint=f"{_INSTALL} where there is one" if _may_have_wheel() else "use one of these",
        offender=Offender("flavor", name="kubeflow"),
    )


def _this_machine() -> str:
    libc, version = platform.libc_ver()
    return (
        f"{platform.system()} {platform.machine()}{f' with {libc} {version}' if libc else ''}, "
        f"{platform.python_implementation()} {'.'.join(map(str, sys.version_info[:2]))}"
    )


def _may_have_wheel() -> bool:
    machine = (sys.platform, platform.machine())
    return (
        machine in (("linux", "x86_64"), ("darwin", "arm64"))
        and platform.python_implementation() == "CPython"
        and (3, 10) <= sys.version_info[:2] <= (3, 13)
    )
