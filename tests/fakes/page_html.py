"""A page as tags, attributes and text, read strictly."""

from html.parser import HTMLParser
from typing import Any

from validation.pages.data import render_data

VOID = {"meta", "br", "link", "img", "input", "hr", "line", "rect", "circle"}


class Page(HTMLParser):
    """Tags, attributes, section ids in order and the text of each section; tags must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.sections: list[str] = []
        self.said: dict[str, str] = {}
        self.feed(text)
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag in ("section", "header"):
            self.sections.append(dict(attrs)["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.sections and "style" not in self.open:
            here = self.sections[-1]
            self.said[here] = " ".join(f"{self.said.get(here, '')} {data}".split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def page(view: dict[str, Any]) -> Page:
    return Page(render_data(view))
