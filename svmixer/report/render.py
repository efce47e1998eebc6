"""Pages from the templates of this room (Jinja), which have all of their text."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from svmixer.report.places import command_without_places
from svmixer.report.tables import list_table, result_table, table


def render(template: str, **values: Any) -> str:
    """The text of ``templates/<template>``; a value that it lacks is an error. HTML is escaped."""
    loader = PackageLoader("svmixer.report")
    environment = Environment(
        loader=loader, undefined=StrictUndefined, autoescape=template.endswith(".html.j2"),
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "command_without_places": command_without_places,
        "list_table": list_table,
        "result_table": result_table,
        "table": lambda rows, *header, align="": table(header, rows, align),
    }
    return environment.get_template(template).render(values)
