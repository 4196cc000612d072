"""Pieces of the report's page. Whatever comes from data is text, and is escaped here."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any


class Html(str):
    """Text that is HTML already; any other text is escaped."""

    __slots__ = ()


@dataclass(frozen=True)
class Heat:
    """A cell of a table whose background shows a value.

    Attributes
    ----------
    text : str
        What is written in it.
    share : float
        How strong the background is, 0 to 1; NaN for none.
    title : str
        Shown when the pointer rests on it.
    """

    text: str
    share: float
    title: str = ""


Cell = str | Heat


def escaped(value: Any) -> Html:
    """Give text as HTML; what is `Html` already stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(parts: Sequence[Any], between: str = "") -> Html:
    """Put pieces one after the other."""
    return Html(between.join(escaped(part) for part in parts))


def element(name: str, *content: Any, **attributes: Any) -> Html:
    """Make an element; ``class_`` is ``class``, and attributes that are None are left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>{join(content)}</{name}>")


def paragraph(*content: Any, class_: str | None = None) -> Html:
    """Make a paragraph."""
    return element("p", *content, class_=class_)


def table(
    head: Sequence[Any], rows: Sequence[Sequence[Cell]], *, numbers_from: int = 1,
    caption: str = "", class_: str = "",
) -> Html:  # fmt: skip
    """Make a table whose first column names the rows.

    Parameters
    ----------
    head : sequence
        Titles of the columns.
    rows : sequence of rows
        Cells: text, or `Heat`.
    numbers_from : int
        First column that has numbers: they are on the right.
    caption : str
        What the table shows.
    class_ : str
        Further classes.
    """
    sides = ["number" if at >= numbers_from else None for at in range(len(head))]
    titles = [element("th", cell, scope="col", class_=side)
              for cell, side in zip(head, sides, strict=True)]  # fmt: skip
    lines = [element("tr", *titles)]
    body = []
    for row in rows:
        cells = [element("th", row[0], scope="row")]
        cells += [_cell(cell, side) for cell, side in zip(row[1:], sides[1:], strict=True)]
        body.append(element("tr", *cells))
    parts = [element("caption", caption)] if caption else []
    parts += [element("thead", *lines), element("tbody", *body)]
    whole = element("table", *parts, class_=class_ or None)
    return element("div", whole, class_="scroll", tabindex="0", role="region",
                   aria_label=caption or "table")  # fmt: skip


def _cell(cell: Cell, side: str | None) -> Html:
    if not isinstance(cell, Heat):
        return element("td", cell, class_=side)
    if math.isnan(cell.share):
        return element("td", cell.text, class_=side, title=cell.title or None)
    strength = min(1.0, max(0.0, cell.share))
    return element("td", cell.text, class_=f"heat {side or ''}".strip(),
                   style=f"--v:{strength:.3f}", title=cell.title or None)  # fmt: skip


def section(name: str, title: str, *content: Any) -> Html:
    """Make a section with a heading that can be linked to."""
    return element("section", element("h2", title), *content, id=name)


def count(value: float) -> str:
    """Write a whole number: 12,345."""
    return f"{int(value):,}"


def share(value: float | None) -> str:
    """Write a share in percent; a dash where there is none. What is not all or nothing says so."""
    if value is None or math.isnan(value):
        return "–"
    percent = 100 * value
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %"


def decimal(value: float | None, digits: int = 2) -> str:
    """Write a number; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:,.{digits}f}"


def size(num_bytes: float) -> str:
    """Write how large a file is."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"


def json_block(name: str, value: Any) -> Html:
    """Make a script element that holds JSON; nothing in it can end the element."""
    written = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{html.escape(name)}">{written}</script>\n')


def page_file(name: str) -> str:
    """Read one of the files in ``report_page``."""
    return resources.files("posedata").joinpath("report_page", name).read_text("utf-8")
