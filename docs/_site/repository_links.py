"""Checks links from a docs page to a file of the repository, which the site does not hold.

On GitHub `[results](../results/reference)` is a link. On the site it becomes a link to
`repo_url`, or the file's path where mkdocs.yml has none.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./([^)#\s]+)\)")
_log = logging.getLogger("mkdocs.hooks.repository_links")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replaces every link that leaves the docs folder; warns where it leads nowhere."""
    root = Path(config.config_file_path).parent

    def replacement(link: re.Match[str]) -> str:
        text, path = link.groups()
        if not (root / path).exists():
            _log.warning("%s links to '../%s', which does not exist", page.file.src_uri, path)
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path})"
        return f"`{path}`"

    return _LINK.sub(replacement, markdown)
