"""The plugin module."""

from metastore import Capabilities, Flavor, hookimpl


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="box",
        summary="An SQLite file",
        config=f"{__package__}.config:BoxConfig",
        store=f"{__package__}.store:BoxMetadataStore",
        capabilities=Capabilities(snapshot=True),
    )
