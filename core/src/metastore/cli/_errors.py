"""What a command that fails says, and how it exits."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from metastore.cli._escape import escape
from metastore.cli._lazy import LazyGroup
from metastore.errors import FilterError, InvalidError, MetastoreError, NotFoundError

__all__ = ["Refused", "ReportingGroup", "Settings", "WrongUse", "hinted"]

FAILED = 1
INTERRUPTED = 130


class Settings:
    """What options say about the whole command: the `obj` of its click context."""

    def __init__(self) -> None:
        self.debug = False
        """Whether an error is shown with its traceback."""


class Refused(click.ClickException):
    """What was asked for is not done, and why; one line, as of any other error."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:
        """The line."""
        click.echo(f"error: {self.message}", file=file, err=True)


class WrongUse(Refused):
    """The input cannot be meant like this; as an error of ours, but with exit code 2."""

    exit_code = 2


@contextmanager
def hinted(hint: str) -> Iterator[None]:
    """What is not found inside is answered with this hint: the library's own speak Python."""
    try:
        yield
    except NotFoundError as error:
        error.hint = hint
        raise


class ReportingGroup(LazyGroup):
    """The outermost group: turns whatever happens inside into an exit code and one line."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line and exit; raises `SystemExit` only, or with --debug what it was."""
        settings = Settings()
        if sys.stdout is None:
            # ``>&-``: Python has no stdout then, and whatever is shown would be lost.
            _say("there is no standard output to write to; lead it to /dev/null to discard it")
            sys.exit(FAILED)
        extra |= {"standalone_mode": False, "obj": settings}
        for stream in (sys.stdout, sys.stderr):
            # Names may hold what the terminal's encoding does not.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(*args, **extra)
        except click.ClickException as error:
            # What was typed may come from a script, and that from anywhere.
            shown = io.StringIO()
            error.show(file=shown)
            click.echo(escape(shown.getvalue(), keep="\n"), err=True, nl=False)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except FilterError as error:
            if settings.debug:
                raise
            _say(error.line)
            for line in error.marked or ():
                click.echo(f"  {escape(line)}", err=True)
            sys.exit(WrongUse.exit_code)
        except InvalidError as error:
            if settings.debug:
                raise
            _say(str(error))
            _forget_output()
            sys.exit(WrongUse.exit_code)
        except Exception as error:
            if settings.debug:
                raise
            _say(_line(error))
            _forget_output()
            sys.exit(FAILED)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; here, because click's own `main` is louder about these two."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            # ``| head`` has read enough.
            _forget_output()
            raise SystemExit(0) from None
        return result


def _forget_output() -> None:
    """Lead stdout nowhere if it cannot be written: Python flushes once more at exit, loudly."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(error: Exception) -> str:
    if isinstance(error, MetastoreError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    # Without its text, which may hold values.
    return (
        f"a {type(error).__name__} that nobody foresaw, which is a bug in {_whose(error)}; "
        "run the command again with --debug, and report what it says"
    )


def _whose(error: Exception) -> str:
    """The package in which it happened: a plugin's, where one was at work."""
    ours = {"metastore", "click", "__main__"}
    frame = error.__traceback__
    while frame is not None:
        package = str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if package and package not in ours and package not in sys.stdlib_module_names:
            return package
        frame = frame.tb_next
    return "metastore"


def _say(text: str) -> None:
    click.echo(f"error: {escape(text)}", err=True)
