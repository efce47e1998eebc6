"""Pages of results from templates."""

from __future__ import annotations

from typing import Any

from svmixer import templates
from svmixer.report.places import command_lines
from svmixer.report.tables import list_table, result_table, table

FILTERS = {
    "command_lines": lambda command: "\n".join(command_lines(command)),
    "list_table": list_table,
    "result_table": result_table,
    "table": lambda rows, *header, align="": table(header, rows, align),
}


def render(template: str, **values: Any) -> str:
    """The text of ``templates/<template>``; see :func:`svmixer.templates.render`."""
    return templates.render("svmixer.report", template, FILTERS, **values)
