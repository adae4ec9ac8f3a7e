"""The {{cookiecutter.name}} flavor of metastore."""
