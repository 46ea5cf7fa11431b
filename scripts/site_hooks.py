"""Hooks of mkdocs: README, CONTRIBUTING, CHANGELOG and the notebooks become pages of the site.

The first three are at the top of the repository, where a forge shows them; on the site they are
``index.md``, ``contributing.md`` and ``changelog.md``, and their links are rewritten. Links to
files that are not pages lead to the forge if ``repo_url`` in mkdocs.yml names one, and become plain
text otherwise. If Colab can read that forge, notebooks get a link that opens them there.
"""

import base64
import json
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
_ROLE = re.compile(r":(?:func|class|mod|meth|attr|data):\s?(<code[^>]*>)~?")
_SETUP = "# In Colab"


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages from the top of the repository, and replaces notebooks by pages."""
    for name, page in AT_THE_TOP.items():
        text = rewrite((ROOT / name).read_text(encoding="utf-8"), ROOT, config["repo_url"])
        files.append(File.generated(config, page, content=text))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        page = Path(file.src_uri).with_suffix(".md")
        text, pictures = render(Path(file.abs_src_path).read_text(encoding="utf-8"), page.stem)
        text = colab(file.src_uri, config["repo_url"]) + text
        files.append(File.generated(config, page.as_posix(), content=text))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"{page.parent}/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrites links from pages in ``docs/`` to files outside it."""
    if page.file.src_uri in AT_THE_TOP.values():
        return markdown
    folder = (ROOT / "docs" / page.file.src_uri).parent
    return rewrite(markdown, folder, config["repo_url"])


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Removes Sphinx roles, which docstrings use for names."""
    return _ROLE.sub(r"\1", html)


def colab(notebook: str, forge: str | None) -> str:
    """Returns a link that opens a notebook in Colab; an empty string if Colab cannot read it."""
    owner, found, repository = (forge or "").partition("https://github.com/")
    if owner or not found:
        return ""
    address = "https://colab.research.google.com/github"
    return (
        f"[Open in Colab]({address}/{repository.rstrip('/')}/blob/main/docs/{notebook})"
        "{ .md-button }\n\n"
    )


def render(notebook: str, name: str) -> tuple[str, dict[str, bytes]]:
    """Returns a notebook with its output as Markdown, and its pictures by file name.

    Args:
        notebook: The notebook, as JSON.
        name: Beginning of the names of pictures.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        code = f"```python\n{source}\n```"
        if source.startswith(_SETUP):
            code = f"<details markdown><summary>Setup</summary>\n\n{code}\n\n</details>"
        parts.append(code)
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/jpeg" in data:
                picture = f"{name}-{len(pictures)}.jpg"
                pictures[picture] = base64.b64decode("".join(data["image/jpeg"]))
                parts.append(f"![output of the cell above]({picture})")
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(f"```text\n{''.join(text).rstrip()}\n```")
    return "\n\n".join(parts), pictures


def rewrite(text: str, folder: Path, forge: str | None) -> str:
    """Returns a page with links as they are on the site.

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
            page = re.sub(r"\.ipynb$", ".md", page)
            return f"{mark}[{label}]({up}{page}{fragment or ''})"
        return f"[{label}]({forge.rstrip('/')}/blob/main/{inside})" if forge else label

    return _LINK.sub(replace, text)
