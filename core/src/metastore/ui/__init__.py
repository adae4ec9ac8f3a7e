"""The web page: what is in a store, to look at in a browser (extra: metastore-core[ui]).

``metastore ui`` serves it; `create_app` gives the same as an ASGI application to mount elsewhere::

    from fastapi import FastAPI
    import metastore
    from metastore.ui import create_app

    app = FastAPI()
    app.mount("/metadata", create_app(metastore.connect("prod", mode="r")))

Pages are rendered here, on the server; they change nothing, and work without script.
"""

from metastore.ui._app import create_app

__all__ = ["create_app"]
