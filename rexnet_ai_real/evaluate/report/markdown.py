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
from rexnet_ai_real.evaluate.report.formatting import visible, written
from rexnet_ai_real.markdown import markdown_table


def markdown(document: Document) -> str:
    """The text of report.md; figures are linked from figures/ beside it."""
    parts = [f"# {inline(document.title)}", inline(document.subtitle), _opening(document)]
    for section in document.sections:
        parts += _section(section)
    parts += ["## What was evaluated", _table(document.about)]
    return "\n\n".join(parts) + "\n"


def _opening(document: Document) -> str:
    return " ".join(f"**{lead}:** {inline(words)}" for lead, words in document.opening)


def _section(section: Section) -> list[str]:
    found = section.found
    failed = [f"> **Missing or incomplete:** {inline(found.failed)}"] if found.failed else []
    return [f"## {section.title}", *failed, f"**{inline(found.finding)}**", *map(_block, found.blocks)]


def _block(block: Block) -> str:
    match block:
        case Paragraph(words):
            return inline(words)
        case Caution(words):
            return f"> **Caution:** {inline(words)}"
        case Table():
            return _table(block)
        case Illustration(name=name, caption=caption):
            return f"![{inline(caption)}](figures/{name}.png)"


def _table(table: Table) -> str:
    made = markdown_table(
        [inline(name) for name in table.columns], ([inline(written(cell)) for cell in row] for row in table.rows)
    )
    return "\n\n".join(part for part in (inline(table.caption), made, inline(table.footnote)) if part)


def inline(words: str) -> str:
    """Words on one line, in which neither HTML nor a link to elsewhere can begin: a file's name may hold anything."""
    return visible(words).replace("<", "&lt;").replace("](", "]\\(")
