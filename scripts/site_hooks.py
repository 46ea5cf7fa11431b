"""What mkdocs does with our pages: README and its kin become pages of the site.

They stand at the top of the repository, where a forge shows them; their links are written from
there. Here they are ``index.md``, ``contributing.md`` and ``changelog.md`` of ``docs/``. Links to
files that are no page lead to the forge, if ``repo_url`` of mkdocs.yml names one, and lose their
link otherwise; notebooks of a forge that Colab can read open there, too.
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
    """Adds the pages at the top, their links rewritten."""
    for name, page in AT_THE_TOP.items():
        text = rewrite((ROOT / name).read_text(encoding="utf-8"), ROOT, config["repo_url"])
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrites the links of the pages in ``docs/`` that lead out of it."""
    if page.file.src_uri in AT_THE_TOP.values():
        return markdown
    folder = (ROOT / "docs" / page.file.src_uri).parent
    return with_colab(rewrite(markdown, folder, config["repo_url"]), config["repo_url"])


def with_colab(text: str, forge: str | None) -> str:
    """Returns a page with a badge behind each notebook, which opens it in Colab."""
    owner, found, repository = (forge or "").partition("https://github.com/")
    if owner or not found:
        return text
    colab = f"https://colab.research.google.com/github/{repository.rstrip('/')}/blob/main/docs"
    return _NOTEBOOK.sub(rf"\g<0> [Open in Colab]({colab}/\1){{ .md-button }}", text)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Takes out the roles that docstrings give to names for other readers."""
    return _ROLE.sub("", html)


def rewrite(text: str, folder: Path, forge: str | None) -> str:
    """Returns a page whose links are right on the site.

    Args:
        text: Markdown with links from where it stands in the repository.
        folder: Where that is.
        forge: Address of the repository; without one, links to other files are text.
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
