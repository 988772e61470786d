"""
The site that ``make docs`` builds of these pages with Sphinx.

The pages are written for who reads them in the checkout, too: links lead to files. So what they say of files outside
this folder is led to the pages that show those files on the site.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent.resolve()
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))
# What the docstrings are read from imports Airflow, which shall find and leave nothing in the home of who builds the
# site, and say nothing.
os.environ["AIRFLOW_HOME"] = str(ROOT / ".site" / "airflow")
logging.getLogger("airflow").setLevel(logging.WARNING)

project = "airflow-provider-osmosdest"
release = version = metadata.version(project)
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["helm", "_static"]

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

# A heading's anchor is the one that GitHub makes of it, and a link to one that is not there fails the build.
myst_heading_anchors = 6
# A code block's example leaves out what does not matter; what is not whole is no fault.
suppress_warnings = ["misc.highlighting_failure"]

autoclass_content = "both"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # What Airflow calls, and no DAG does.
    "exclude-members": "execute, on_kill, get_openlineage_facets_on_complete",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
python_maximum_signature_line_length = 100

# The pages whose text is that of a file in the checkout's root.
_OF_THE_ROOT = {"index": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
_PAGES = {ROOT / name: DOCS / f"{page}.md" for page, name in _OF_THE_ROOT.items()}
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")


def _read(_: Sphinx, page: str, source: list[str]) -> None:
    """Put the text of a file in the root where its page is, and let links lead to what the site has."""
    here = DOCS / f"{page}.md"
    text, folder = source[0], here.parent
    if page in _OF_THE_ROOT:
        original = ROOT / _OF_THE_ROOT[page]
        # What the page has itself is for who comes upon it in the checkout, and the navigation.
        own = text.partition("<!-- navigation -->")[2]
        text, folder = original.read_text("utf-8") + own, original.parent

    def lead(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        anchor = link[2] or ""
        if target.parent == ROOT / "example_dags" and target.is_file():
            target, anchor = DOCS / "reference" / "examples.md", f"#{target.name.replace('.', '')}"
        target = _PAGES.get(target, target)
        return os.path.relpath(target, here.parent) + anchor

    source[0] = _LINK.sub(lead, text)


def setup(app: Sphinx) -> None:
    """Have Sphinx call what is above."""
    app.connect("source-read", _read)
