"""Hooks of MkDocs (mkdocs.yml): pages from outside docs/, pages made from the code, and links between them.

Pages link to each other as files of the repository, so that they work there as well. A link to a page leads
to it on the site, too; one to any other file of the repository becomes its path, because the site has only
pages. A link to a file that does not exist is a warning, which ``mkdocs build --strict`` makes an error.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import reference

log = logging.getLogger("mkdocs.hooks.site")

ROOT = Path(__file__).resolve().parents[2]
# File of the repository → page of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "conf/README.md": "configuration_files.md",
    "egs/pocket/sv2/README.md": "recipes/pocket2.md",
    **{
        f"egs/{recipe}/sv1/README.md": f"recipes/{recipe}.md"
        for recipe in ("debian_voices", "mini_an4", "pocket", "speechocean762", "voxceleb")
    },
}
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<text>!?\[[^\]\[]*\])\((?P<target>[^)\s]+)\)")
ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|#|//)", re.IGNORECASE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that do not lie in docs/."""
    for source, page in PAGES.items():
        if (ROOT / source).is_file():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=text))
    for page, text in reference.pages().items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Lead the links of a page, which are those of the repository, to pages of the site."""
    name = page.file.src_uri
    source = next((source for source, target in PAGES.items() if target == name), f"docs/{name}")
    parts = FENCE.split(markdown)
    return "".join(
        part if part.startswith("```") else LINK.sub(lambda link: _on_site(link, source, name), part)
        for part in parts
    )


def _on_site(link: re.Match[str], source: str, page: str) -> str:
    """A link of the page ``page``, made from the file ``source`` of the repository, as the site takes it."""
    text, target = link["text"], link["target"]
    if ELSEWHERE.match(target):
        return link[0]
    path, hash_mark, anchor = target.partition("#")
    wanted = os.path.normpath(PurePosixPath(source).parent / path)
    inside = wanted.startswith("docs/")
    there = PAGES.get(wanted) or (wanted.removeprefix("docs/") if inside else None)
    if there is not None and not (inside and (ROOT / wanted).is_dir()):
        # A page that is made (docs/reference/cli.md) has no file; MkDocs says so if it has no page either.
        return f"{text}({os.path.relpath(there, PurePosixPath(page).parent)}{hash_mark}{anchor})"
    if not (ROOT / wanted).exists():
        log.warning("%s: the link %s leads nowhere", source, target)
    words = text.strip("[]").strip("`")
    return f"`{wanted}`" if words in (wanted, PurePosixPath(wanted).name) else f"{words} (`{wanted}`)"
