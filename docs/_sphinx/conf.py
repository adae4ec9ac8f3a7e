"""How Sphinx builds the site: ``sphinx-build -c docs/_sphinx . site`` at the top of the repository.

The sources are the Markdown files as the forge shows them; what they link to outside of `docs/`
is a page, too, so that every link works in both places.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

# The extension lies beside this file.
sys.path.insert(0, str(Path(__file__).parent))

from site_nav import PAGES

project = "metastore"
author = "the metastore contributors"
project_copyright = "the metastore contributors; Apache-2.0"
version = release = version_of("metastore-core")

root_doc = "docs/index"
include_patterns = [f"{page}.md" for page in PAGES] + ["docs/**.md"]
# Only what would be walked for nothing: environments, and what was built before.
exclude_patterns = [".*", "site", "**/build", "**/src", "**/tests", "docs/_sphinx"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "site_extension"]

# Anchors of headings are those of the forge.
myst_heading_anchors = 6
# Text that happens to look like a substitution or a directive stays text.
myst_enable_extensions: list[str] = []

# Quotes stay as they were typed.
smartquotes_action = "D"

# In docstrings `Name` is a name of the library, where there is one, and else code.
default_role = "py:obj"
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Signatures say these by name, not what they stand for.
autodoc_type_aliases = {
    name: name
    for name in [
        "AnyNode",
        "ArtifactLike",
        "Condition",
        "EventKey",
        "JSONValue",
        "NodeRef",
        "OpenMode",
        "PathStep",
        "Predicate",
        "Progress",
        "Record",
        "Row",
        "Target",
        "Term",
        "TypeRef",
        "Value",
        "WriteMode",
    ]
}
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "metastore"
# That of the web page.
html_favicon = "../../core/src/metastore/ui/static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
# The site's address leads to its first page.
html_additional_pages = {"index": "front.html"}
html_copy_source = False
html_show_sphinx = False
html_domain_indices = False
