"""Text from Jinja templates, which lie in the folder ``templates`` of the package that writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def render(package: str, template: str, filters: dict[str, Callable], **values: Any) -> str:
    """The text of ``templates/<template>`` of a package, such as ``svmixer.report``.

    What is put into HTML is escaped.

    Raises:
        jinja2.UndefinedError: a value that the template names is missing.
    """
    # The help of programs that write pages needs no Jinja.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package), undefined=StrictUndefined, autoescape=template.endswith(".html.j2"),
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= filters
    return environment.get_template(template).render(values)
