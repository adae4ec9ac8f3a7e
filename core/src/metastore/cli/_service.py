"""What ``store up`` and ``store down`` show: progress, and what a flavor would make as files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from metastore.cli._output import remark
from metastore.errors import Offender, StorageError

__all__ = ["print_manifest", "progress", "write_manifest"]

_LOGGER = "metastore.service"


class _Remarks(logging.Handler):
    """Shows each record as a line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        remark(record.getMessage())


@contextmanager
def progress() -> Iterator[None]:
    """What a flavor tells of its service inside is shown as it happens."""
    logger, handler = logging.getLogger(_LOGGER), _Remarks()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def print_manifest(files: Mapping[str, str]) -> None:
    """All of them as one stream: as they are, for a tool reads them."""
    click.echo(_joined(files), nl=False)


def write_manifest(files: Mapping[str, str], output: str) -> list[Path]:
    """Write them into a folder, a file each, or into one file; the files.

    Raises
    ------
    StorageError
        They cannot be written.
    """
    path = Path(output)
    is_folder = output.endswith(("/", os.sep)) or path.is_dir()
    texts = {path / name: text for name, text in files.items()} if is_folder else {}
    written = []
    try:
        if is_folder:
            path.mkdir(parents=True, exist_ok=True)
        for each, text in (texts or {path: _joined(files)}).items():
            each.write_text(text, encoding="utf-8")
            written.append(each)
    except OSError as error:
        raise StorageError(
            f"{error.filename or output} cannot be written ({error.strerror})",
            hint="name another file, or a folder with / at the end",
            offender=Offender("file", name=str(error.filename or output)),
        ) from error
    return written


def _joined(files: Mapping[str, str]) -> str:
    # YAML's line between documents; a flavor whose files are not YAML gives one.
    return "---\n".join(files.values())
