"""A report as one HTML file that needs no network: style inside, figures embedded."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rexnet_ai_real.evaluate.report.document import Block, Cell, Document, Illustration, Signed
from rexnet_ai_real.evaluate.report.formatting import known, visible, written
from rexnet_ai_real.metrics.bootstrap import Estimate

TEMPLATE: Final = "report.html.jinja"
_SHORT: Final = 14  # characters: "diffusion1 (10)" may break, "1,200 + 1,200" may not


def html(document: Document) -> str:
    """The text of report.html. All words are escaped: a file name may hold anything."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_harmless
    )
    environment.filters |= {"cell": _cell, "data_uri": _data_uri, "bar": _bar, "rows": _rows}
    environment.filters["type"] = lambda block: type(block).__name__
    template = files("rexnet_ai_real.evaluate.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(document=document)


def _harmless(value: Any) -> Any:
    """Words without control characters; `Markup`, which holds such words, as it is."""
    return visible(value) if type(value) is str else value


def _cell(cell: Cell) -> Markup:
    """A cell, its interval smaller than its value; numbers and short words are never broken."""
    estimate = cell.estimate if isinstance(cell, Signed) else cell
    if isinstance(estimate, Estimate) and not estimate.defined:
        return Markup('<span title="{}">–</span>').format(estimate.reason)
    if isinstance(estimate, Estimate) and known(estimate):
        value, interval = written(cell).split(" ", 1)
        return Markup('<span class="number">{} <small>{}</small></span>').format(value, interval)
    words = written(cell)
    return Markup('<span class="number">{}</span>' if len(words) <= _SHORT else "{}").format(words)


def _data_uri(figure: Illustration) -> str:
    return f"data:{figure.mime};base64,{base64.b64encode(figure.content).decode('ascii')}"


def _bar(cell: Cell) -> Markup:
    """A value between 0 and 1 with its interval, drawn to scale."""
    if not isinstance(cell, Estimate) or not cell.defined or not known(cell) or not 0 <= cell.value <= 1:
        return Markup("")
    ends: Any = [100 * min(max(x, 0.0), 1.0) for x in (cell.low, cell.high - cell.low, cell.value)]
    interval = '<i style="left:{:.1f}%;width:{:.1f}%"></i><b style="left:{:.1f}%"></b>'
    return Markup(f'<span class="bar" aria-hidden="true">{interval}</span>').format(*ends)


def _rows(blocks: Sequence[Block]) -> list[list[Block]]:
    """Consecutive small figures share a row; every other block has its own."""

    def is_small(block: Block) -> bool:
        return isinstance(block, Illustration) and not block.wide and block.mime == "image/svg+xml"

    rows: list[list[Block]] = []
    for block in blocks:
        if rows and is_small(block) and is_small(rows[-1][0]):
            rows[-1].append(block)
        else:
            rows.append([block])
    return rows
