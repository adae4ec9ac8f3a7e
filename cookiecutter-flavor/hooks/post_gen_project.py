"""Take out what was not asked for."""

import shutil
from pathlib import Path

KIND = {{cookiecutter.kind | tojson}}
CI = {{cookiecutter.ci | tojson}}
PACKAGE = {{cookiecutter.__package | tojson}}

if KIND != "remote":
    Path("src", PACKAGE, "service.py").unlink()
    Path("tests", "conftest.py").unlink()
if CI == "none":
    shutil.rmtree(".github")
