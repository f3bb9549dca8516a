"""The inbox's templates, in the style of the pages that it leads to."""

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

EXTRA = """
form { margin: 12px 0; } label { display: block; margin: 12px 0 4px; font-weight: 600; }
input, textarea { width: 100%; max-width: 36rem; padding: 8px 10px; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--soft); border-radius: 6px; }
button { font: inherit; font-weight: 600; padding: 8px 18px; margin: 12px 8px 0 0; cursor: pointer;
  border: 1px solid currentColor; border-radius: 6px; background: var(--card); color: var(--accent); }
button.no { color: var(--bad); }
button:focus-visible, input:focus-visible, textarea:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 2px; }
.top { display: flex; flex-wrap: wrap; gap: 4px 16px; justify-content: space-between;
  align-items: baseline; } .top form { margin: 0; } .top button { margin: 0; padding: 4px 12px; }
.fault { border-left: 4px solid var(--bad); background: var(--card); padding: 10px 16px; }
.item { border: 1px solid var(--line); border-radius: 8px; background: var(--card);
  padding: 14px 18px; margin: 12px 0; } .item h3 { margin: 0 0 4px; }
"""


@cache
def _environment() -> Environment:
    own, shared = PackageLoader("pipelines.inbox"), PackageLoader("validation", "pages")
    return Environment(
        loader=ChoiceLoader([own, shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return _environment().get_template("style.css.j2").render() + EXTRA


STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()}'"


def page(template: str, **values: Any) -> str:
    """A page of this folder; every value is escaped, an unknown name raises."""
    style = Markup(f"<style>{_style()}</style>")
    return _environment().get_template(f"{template}.html.j2").render(style=style, **values)
