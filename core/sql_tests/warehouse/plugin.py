"""The plugin module."""

from metastore import Capabilities, Flavor, hookimpl


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="warehouse",
        summary="A database on a PostgreSQL server",
        config=f"{__package__}.config:WarehouseConfig",
        store=f"{__package__}.store:WarehouseMetadataStore",
        capabilities=Capabilities(snapshot=True),
    )
