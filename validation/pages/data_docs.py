"""Great Expectations' Data Docs page of one day, made to be read offline.

Great Expectations' pages load styles, scripts and a logo from six other sites, and link to an index
of its own. Here they load nothing: a few styles stand in for theirs, and the index is the data
page's calendar, so no past result is rendered again when a day is added.
"""

import re

_LOADED = re.compile(
    r"<script\b.*?</script\s*>|<link\b[^>]*>|<img\b[^>]*>|<iframe\b.*?</iframe\s*>",
    re.DOTALL | re.IGNORECASE,
)
_INDEX = re.compile(r'href="(?:\.\./|https?://)[^"]*"', re.IGNORECASE)
_URL = re.compile(r"url\([^)]*\)", re.IGNORECASE)
_RANDOM = re.compile(r"-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
_STYLE = """<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1080px; padding: 16px; }
body * { max-width: 100%; position: static !important; }
.container, .container-fluid { padding: 0 !important; }
table { border-collapse: collapse; width: 100%; margin: 6px 0 16px; }
th, td { border-bottom: 1px solid #8886; padding: 5px 10px 5px 0; text-align: left; vertical-align: top; }
.row { display: block; } nav.navbar, #ge-cta-footer, .btn, .collapse.navigation, .modal { display: none; }
.ge-index-page-site-name-title, .footer, .ge-data-docs-footer { display: none; }
h1, h2, h3, h4, h5 { line-height: 1.3; margin: 18px 0 6px; }
.badge { border: 1px solid #8886; border-radius: 4px; padding: 0 5px; }
.text-success { color: #2c7a4d; } .text-danger { color: #b3372e; } .text-warning { color: #96690f; }
.fa-check-circle::before { content: "✓"; } .fa-times::before { content: "✕"; }
.fa-exclamation-triangle::before, .fa-exclamation::before { content: "!"; }
i[class*="fa-"] { font-style: normal; font-weight: 700; }
</style>"""


def offline(page: str) -> str:
    """The page without anything that it would load, the same text for the same result."""
    bare = _URL.sub("none", _INDEX.sub('href="#"', _LOADED.sub("", page)))
    named: dict[str, str] = {}
    bare = _RANDOM.sub(lambda found: named.setdefault(found.group(), f"-{len(named)}"), bare)
    return bare.replace("<head>", f"<head>{_POLICY}{_STYLE}", 1)
