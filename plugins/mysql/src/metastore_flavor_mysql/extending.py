"""For flavors whose servers are MySQL's, reached in a way of their own.

Such a flavor derives its store from `MySQLMetadataStore`, names a class of its own as `DATABASE`,
and there a connector that says where a connection is made.
"""

from __future__ import annotations

from metastore_flavor_mysql._connection import Connection
from metastore_flavor_mysql._database import MySQLDatabase
from metastore_flavor_mysql._server import Connector
from metastore_flavor_mysql.config import Host

__all__ = ["Connection", "Connector", "Host", "MySQLDatabase"]
