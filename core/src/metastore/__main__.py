"""``python -m metastore`` is the command ``metastore``."""

from metastore.cli import main

main()
