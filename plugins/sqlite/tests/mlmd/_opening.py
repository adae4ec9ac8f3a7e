"""Opening a store with ml-metadata."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store.metadata_store import MetadataStore

from ._proto import pb


def connect(path: Path | str | Any) -> MetadataStore:
    """Open the store at ``path`` as ml-metadata does by default, making it if there is none.

    ``path`` may be a `ConnectionConfig` instead, of a store that is not in a file.

    ml-metadata writes even when it only opens: it adds its simple types (``mlmd.*``) where they
    are missing. It has no close: let go of the result before another writer comes.
    """
    config = path
    if isinstance(path, str | Path):
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(path)
    return MetadataStore(config)


def upgraded_copy(source: Path | str, target: Path | str) -> Path:
    """Copy the store ``source`` to ``target`` and let ml-metadata bring the copy to schema 10.

    ``source`` may be of any older schema and need not be writable; the copy always is.
    """
    target = Path(target)
    shutil.copyfile(source, target)  # the content only: the source's mode may forbid writing
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(target)
    MetadataStore(config, enable_upgrade_migration=True)
    return target
