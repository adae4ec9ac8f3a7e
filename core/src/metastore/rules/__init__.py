"""The planner: a batch, and the rows it touches, become checked changes, or an error.

Pure: what is stored is asked for through a function; nothing is read or written here.  The rules
are ML Metadata's (metadata_store.cc and rdbms_metadata_access_object.cc of release 1.17.1) but for
the deviations that docs/contract.md lists.
"""

from metastore.rules._planner import Planner

__all__ = ["Planner"]
