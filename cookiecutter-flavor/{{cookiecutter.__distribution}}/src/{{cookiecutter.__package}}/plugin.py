"""The plugin module: what core reads before it needs the store.  Imports no driver."""

from metastore import Capabilities, Flavor, hookimpl


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="{{cookiecutter.name}}",
{%- if '"' in cookiecutter.summary and "'" not in cookiecutter.summary %}
        summary='{{cookiecutter.summary | replace('\\', '\\\\')}}',
{%- else %}
        summary="{{cookiecutter.__summary}}",
{%- endif %}
        config="{{cookiecutter.__package}}.config:{{cookiecutter.__class}}Config",
        store="{{cookiecutter.__package}}.store:{{cookiecutter.__class}}MetadataStore",
        capabilities=Capabilities(
            snapshot=True,
{%- if cookiecutter.kind == "remote" %}
            provision=True,
{%- endif %}
        ),
        interface_version={{cookiecutter._interface_version}},
    )
