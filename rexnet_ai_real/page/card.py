"""A detector's model card as a page."""

import re
from html import escape
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

from rexnet_ai_real.page.headers import PAGE_POLICY

CARD: Final = "README.md"
_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
</head>
<body class="card">
<p><a href="./">Back to the page</a></p>
<article>
{body}
</article>
</body>
</html>
"""


_NONE: Final = """# No model card

Nothing is written beside this detector on what it was trained on, or how often it is wrong.
"""


class _Reader(MarkdownIt):
    """Any other link would open a program of the visitor's, or a file that the page has not: it stays text."""

    def validateLink(self, url: str) -> bool:  # noqa: N802  # as MarkdownIt has it
        return url.lower().startswith(("https://", "http://", "#"))


def card_page(folder: Path) -> str:
    """The card of an exported detector as a page of HTML; words instead where there is none.

    The card may be a stranger's: HTML in it stays text, and links lead nowhere but to the web, and to
    places in the card.
    """
    try:
        text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = _NONE
    reader = _Reader("commonmark", {"html": False}).enable("table")
    body = reader.render(_FRONT_MATTER.sub("", text, count=1))
    # Wide tables and commands scroll by themselves, so that the page does not; a keyboard must reach them for that.
    body = body.replace("<pre>", '<pre tabindex="0">')
    body = body.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")
    body = re.sub(r"<img [^>]*>", "", body)  # none is shipped, and the page asks nobody else
    found = re.search(r"<h1>(.*?)</h1>", body, re.DOTALL)
    title = re.sub(r"<[^>]+>", "", found[1]) if found else escape("Model card")
    return _PAGE.format(title=title, body=body, policy=PAGE_POLICY)
