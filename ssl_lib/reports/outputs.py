"""The outputs of a code cell as HTML that needs no network and no kernel."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from nbconvert.filters.ansi import ansi2html
from nbformat import NotebookNode
from PIL import Image

from ssl_lib.notebook.frames import webp
from ssl_lib.reports.markdown import Markdown, embed_images, scrollable_tables
from ssl_lib.reports.mathml import formula_html

FOLD_LINES = 12  # longer text is folded
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
WIDGET = "application/vnd.jupyter.widget-view+json"
LARGE = 80_000  # characters of a picture that are worth fewer
QUALITIES = (92, 75, 50)  # of pictures of scans (WebP, 0 to 100), the best that a page has room for
NO_ALT = "Figure without a description"


def outputs_html(outputs: Sequence[NotebookNode], folder: Path, quality: int = QUALITIES[0]) -> str:
    """All outputs of one cell; `folder` is where relative pictures are looked for, `quality` that
    of large pictures of scans."""
    return "".join(_output_html(output, folder, quality) for output in tidy_streams(outputs))


def tidy_streams(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """The outputs with neighbouring pieces of one stream joined, and overwritten lines dropped."""
    tidy: list[NotebookNode] = []
    for output in outputs:
        previous = tidy[-1] if tidy else None
        if output.output_type == "stream" and previous and previous.get("name") == output.name:
            tidy[-1] = NotebookNode(previous, text=previous.text + output.text)
        else:
            tidy.append(output)
    for output in tidy:
        if output.output_type == "stream":
            output.text = last_writes(output.text)
    return tidy


def last_writes(text: str) -> str:
    """What a terminal would show: a line that was written over again shows its last state."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def alt_text(output: Mapping[str, Any], kind: str) -> str:
    """The description of a picture, from the metadata of the output or of this kind of picture."""
    metadata = output.get("metadata", {})
    inner = metadata.get(kind, {})
    return str(metadata.get("alt") or (inner.get("alt") if inner else "") or NO_ALT)


def picture_uri(output: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first picture of an output as (data URI, alt text), None without one."""
    for kind in PICTURES:
        content = output.get("data", {}).get(kind)
        if content:
            if kind == "image/svg+xml":
                content = base64.b64encode(content.encode()).decode()
            uri = f"data:{kind};base64,{content.replace(chr(10), '')}"
            return uri, alt_text(output, kind)
    return None


def lighter(uri: str, quality: int = QUALITIES[0]) -> str:
    """A large PNG with scans as WebP of this quality where that saves a third; other pictures stay
    as they are, charts among them: they are small without loss."""
    start, _, content = uri.partition(",")
    if start != "data:image/png;base64" or len(content) < LARGE:
        return uri
    with suppress(OSError):
        image = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
        found = webp(image, quality)
        return found if len(found) < len(uri) * 2 / 3 else uri
    return uri


def _output_html(output: NotebookNode, folder: Path, quality: int) -> str:
    if output.output_type == "stream":
        return _stream_html(output)
    if output.output_type == "error":
        return _error_html(output)
    data = output.get("data", {})
    if "text/html" in data:
        html = scrollable_tables(embed_images(data["text/html"], folder))
        return f'<div class="output rich">{html}</div>'
    picture = picture_uri(output)
    if picture:
        uri, alt = picture
        chart = ' class="chart"' if output.metadata.get("image/png", {}).get("chart") else ""
        image = f'<img src="{escape(lighter(uri, quality))}" alt="{escape(alt)}"{chart}>'
        caption = "" if alt == NO_ALT else _caption(alt)
        return f'<figure class="output">{image}{caption}</figure>'
    return _text_data_html(data, folder)


def _caption(alt: str) -> str:
    """The description below a picture, for readers who see it; the page numbers it."""
    return f'<figcaption class="ssl-caption" aria-hidden="true">{escape(alt)}</figcaption>'


def _text_data_html(data: Mapping[str, str], folder: Path) -> str:
    if "text/markdown" in data:
        return f'<div class="output">{Markdown(folder)(data["text/markdown"])}</div>'
    if "text/latex" in data:
        return (
            f'<div class="output">{formula_html(data["text/latex"].strip("$ "), block=True)}</div>'
        )
    if WIDGET in data:
        return '<p class="output note">A live control stands here when the notebook runs.</p>'
    return _text_html(data.get("text/plain", ""), "text")


def _stream_html(output: NotebookNode) -> str:
    text = output.text.strip("\n")
    if not text.strip():
        return ""
    if output.name == "stderr":
        count = text.count("\n") + 1
        summary = f"Messages ({count} line{'s' * (count > 1)})"
        return f'<details class="output stderr"><summary>{summary}</summary>{_pre(text)}</details>'
    return _text_html(text, "text")


def _text_html(text: str, kind: str) -> str:
    lines = text.count("\n") + 1
    if lines > FOLD_LINES:
        summary = f"<summary>{lines} lines of text</summary>"
        return f'<details class="output {kind}">{summary}{_pre(text)}</details>'
    return f'<div class="output {kind}">{_pre(text)}</div>' if text else ""


def _error_html(output: NotebookNode) -> str:
    title = escape(f"{output.ename}: {output.evalue}".rstrip(": "))
    trace = _pre("\n".join(output.get("traceback", [])))
    return (
        f'<div class="output error" role="alert"><p><strong>{title}</strong></p>'
        f"<details open><summary>Traceback</summary>{trace}</details></div>"
    )


def _pre(text: str) -> str:
    return f'<pre tabindex="0">{ansi2html(text)}</pre>'
