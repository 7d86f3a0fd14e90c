"""A report as Markdown, figures linked."""

from rexnet_ai_real.evaluate.report.document import (
    Block,
    Caution,
    Document,
    Illustration,
    Paragraph,
    Section,
    Table,
)
from rexnet_ai_real.evaluate.report.formatting import written
from rexnet_ai_real.markdown import markdown_table


def markdown(document: Document) -> str:
    """The text of report.md; figures are linked from figures/ beside it."""
    parts = [f"# {document.title}", document.subtitle, _opening(document)]
    for section in document.sections:
        parts += _section(section)
    parts += ["## What was evaluated", _table(document.about)]
    return "\n\n".join(parts) + "\n"


def _opening(document: Document) -> str:
    return " ".join(f"**{lead}:** {_line(words)}" for lead, words in document.opening)


def _section(section: Section) -> list[str]:
    found = section.found
    failed = [f"> **Missing or incomplete:** {_line(found.failed)}"] if found.failed else []
    return [f"## {section.title}", *failed, f"**{_line(found.finding)}**", *map(_block, found.blocks)]


def _block(block: Block) -> str:
    match block:
        case Paragraph(words):
            return _line(words)
        case Caution(words):
            return f"> **Caution:** {_line(words)}"
        case Table():
            return _table(block)
        case Illustration(name=name, caption=caption):
            return f"![{_line(caption)}](figures/{name}.png)"


def _table(table: Table) -> str:
    made = markdown_table(table.columns, ([written(cell) for cell in row] for row in table.rows))
    return f"{_line(table.caption)}\n\n{made}" if table.caption else made


def _line(words: str) -> str:
    """On one line: a file name may hold anything."""
    return " ".join(words.split())
