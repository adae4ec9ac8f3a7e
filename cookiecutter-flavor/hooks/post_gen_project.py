"""Take out what was not asked for."""

import json
import shutil
from pathlib import Path

KIND = json.loads(r'''{{cookiecutter.kind | tojson}}''')
CI = json.loads(r'''{{cookiecutter.ci | tojson}}''')
PACKAGE = json.loads(r'''{{cookiecutter.__package | tojson}}''')

if KIND != "remote":
    Path("src", PACKAGE, "service.py").unlink()
    Path("tests", "conftest.py").unlink()
if CI == "none":
    shutil.rmtree(".github")
