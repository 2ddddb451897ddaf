"""How ``make site`` makes the pages of the repository a web site. What is in it, in which order: ``contents.yml``.

Sources are the Markdown files as they lie in the repository, the README among them, so that a link is right on the site
when it is right in the checkout. Strict: a link or an anchor that leads nowhere ends the build.
"""

from streamer import __version__

project = "PowerP Streamer"
version = release = __version__

extensions = ["myst_parser", "sphinx_external_toc"]
external_toc_path = "docs/contents.yml"
include_patterns = ["*.md", "docs/*.md", "helm/powerp-streamer/README.md", "streamer/simulator/data/README.md"]
myst_heading_anchors = 3  # as repository browsers make them, so that links to sections hold on both

html_theme = "furo"
html_static_path = html_css_files = ["site.css"]
html_title = f"{project} {version}"
html_show_sourcelink = html_copy_source = False
html_show_sphinx = html_show_copyright = False
