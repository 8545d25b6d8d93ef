"""Reads a page and keeps what tests ask about."""

from html.parser import HTMLParser

# https://html.spec.whatwg.org/multipage/syntax.html#void-elements, as far as a page has them
VOID = {"br", "hr", "img", "input", "link", "meta"}


class PageReader(HTMLParser):
    """Elements with their attributes, headings with their texts, and what is not closed as it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.wrong: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.wrong += self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data):
        if self._open[-1:] == ["style"]:
            return
        self.texts.append(data)
        if self.headings and self._open[-1:] == [f"h{self.headings[-1][0]}"]:
            level, text = self.headings.pop()
            self.headings.append((level, text + data))

    @property
    def text(self) -> str:
        """All that is read, spaces made one."""
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]
