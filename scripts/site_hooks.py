"""Hooks of mkdocs: README, CONTRIBUTING and CHANGELOG become pages of the site.

They are at the top of the repository, where a forge shows them; on the site they are ``index.md``,
``contributing.md`` and ``changelog.md`` in ``docs/``, and their links are rewritten. Links to files
that are not pages lead to the forge if ``repo_url`` in mkdocs.yml names one, and become plain text
otherwise. If Colab can read that forge, notebooks get a link that opens them there.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
AT_THE_TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_ROLE = re.compile(r":(?:func|class|mod|meth|attr|data):\s?(?=<)")
_NOTEBOOK = re.compile(r"\[[^\]]*\]\((notebooks/\w+\.ipynb)\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages from the top of the repository, with rewritten links."""
    for name, page in AT_THE_TOP.items():
        text = rewrite((ROOT / name).read_text(encoding="utf-8"), ROOT, config["repo_url"])
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrites links from pages in ``docs/`` to files outside it."""
    if page.file.src_uri in AT_THE_TOP.values():
        return markdown
    folder = (ROOT / "docs" / page.file.src_uri).parent
    return with_colab(rewrite(markdown, folder, config["repo_url"]), config["repo_url"])


def with_colab(text: str, forge: str | None) -> str:
    """Returns a page with a button after each notebook that opens it in Colab."""
    owner, found, repository = (forge or "").partition("https://github.com/")
    if owner or not found:
        return text
    colab = f"https://colab.research.google.com/github/{repository.rstrip('/')}/blob/main/docs"
    return _NOTEBOOK.sub(rf"\g<0> [Open in Colab]({colab}/\1){{ .md-button }}", text)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Removes Sphinx roles, which docstrings use for names."""
    return _ROLE.sub("", html)


def rewrite(text: str, folder: Path, forge: str | None) -> str:
    """Returns a page with the links that are right on the site.

    Args:
        text: Markdown with links relative to its folder in the repository.
        folder: That folder.
        forge: Address of the repository; if None, links to other files become plain text.
    """

    def replace(match: re.Match[str]) -> str:
        mark, label, target, fragment = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = (folder / target).resolve()
        if not path.is_relative_to(ROOT):
            return match[0]
        inside = path.relative_to(ROOT).as_posix()
        page = AT_THE_TOP.get(inside) or inside.removeprefix("docs/")
        if inside in AT_THE_TOP or inside.startswith("docs/"):
            up = "../" * len(folder.relative_to(ROOT / "docs").parts) if folder != ROOT else ""
            return f"{mark}[{label}]({up}{page}{fragment or ''})"
        return f"[{label}]({forge.rstrip('/')}/blob/main/{inside})" if forge else label

    return _LINK.sub(replace, text)
