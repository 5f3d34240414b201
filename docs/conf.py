"""The documentation: the files for people in the root and the pages of this folder, as one site (make docs)."""

from __future__ import annotations

project = "connvault-jupyter"
author = "connvault-jupyter contributors"
extensions = ["myst_parser"]

# The source folder is the checkout's root, so that README and its neighbours are pages and not copies of pages.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
# The first page is below docs/: whoever opens the site itself is led there.
html_extra_path = ["site"]
html_title = "connvault-jupyter"
