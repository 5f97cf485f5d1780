"""LaTeX formulas as MathML, which browsers show without a network or a script."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from xml.etree import ElementTree

from latex2mathml.converter import convert

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
PRIME = "\u2032"
BARS = ("|", "\u2016")
FUNCTIONS = ("log", "ln", "exp", "sin", "cos")
CLOSING = (")", "]", "}", PRIME, *BARS)

# What the converter does not know, said in a way that it does.
REPLACEMENTS: tuple[tuple[str, str], ...] = (
    (r"\\(begin|end)\{aligned\}", r"\\\1{align*}"),
    (r"\\operatorname\*?\{arg\\?[, ]*\s*(min|max)\}", r"\\arg\1 "),
    (r"\\arg\s*\\(min|max)", r"\\arg\1 "),
    (r"\\(?:operatorname\*?|mathrm)\{([A-Za-z0-9 ,-]{2,})\}", r"\\text{\1}"),
    (r"\\[bB]igg?[lrm]?(?![A-Za-z])", ""),
)

ElementTree.register_namespace("", NAMESPACE)


class FormulaError(ValueError):
    """A formula that cannot be shown as MathML."""


def to_mathml(latex: str, *, block: bool) -> str:
    """The MathML of a formula, on a line of its own if `block`.

    Raises `FormulaError` when a command is unknown.
    """
    source = latex.strip()
    for pattern, replacement in REPLACEMENTS:
        source = re.sub(pattern, replacement, source)
    try:
        root = ElementTree.fromstring(convert(source, display="block" if block else "inline"))
    except Exception as error:  # the converter raises many kinds, some of them bare
        raise FormulaError(f"{latex!r}: {error or type(error).__name__}") from error
    for element in root.iter():
        if (element.text or "").lstrip().startswith("\\"):
            raise FormulaError(f"{latex!r}: {element.text} is not understood")
    _lower_primes(root)
    _tighten(root)
    _set_off_functions(root)
    return ElementTree.tostring(root, encoding="unicode")


def formula_html(latex: str, *, block: bool) -> str:
    """A formula for a page; one that cannot be converted is shown as its source, marked."""
    try:
        mathml = to_mathml(latex, block=block)
    except FormulaError:
        return f'<code class="formula-source">{escape(latex.strip())}</code>'
    return f'<span class="formula" tabindex="0">{mathml}</span>' if block else mathml


def _lower_primes(root: ElementTree.Element) -> None:
    """Set primes beside their letter: as superscripts most fonts would raise them twice."""
    for element in list(root.iter()):
        kind = element.tag.rpartition("}")[2]
        if kind not in ("msup", "msubsup") or element[-1].text != PRIME:
            continue
        base, *subscript, prime = list(element)
        prime.tag, prime.attrib = f"{{{NAMESPACE}}}mo", {"lspace": "0", "rspace": "0"}
        row = ElementTree.Element(f"{{{NAMESPACE}}}mrow")
        row.extend([base, prime])
        element[:] = [row, *subscript]
        element.tag = f"{{{NAMESPACE}}}{'msub' if subscript else 'mrow'}"


def _tighten(root: ElementTree.Element) -> None:
    """No space around bars, nor after the sign of a negative number or term."""
    for row in root.iter():
        for previous, element in pairwise([None, *row]):
            if element.tag != f"{{{NAMESPACE}}}mo":
                continue
            if element.text in BARS:
                element.attrib |= {"lspace": "0", "rspace": "0"}
            elif element.text == "\u2212" and _opens(previous):
                element.set("form", "prefix")


def _set_off_functions(root: ElementTree.Element) -> None:
    """A thin space between the name of a function and what stands beside it without a bracket:
    p log p, where the converter gives plogp."""
    for row in list(root.iter()):
        spaced: list[ElementTree.Element] = []
        for element in row:
            pair = [spaced[-1], element] if spaced else []
            if any(one.text in FUNCTIONS for one in pair) and not any(
                one.tag.endswith(("}mo", "}mspace")) for one in pair
            ):
                spaced.append(ElementTree.Element(f"{{{NAMESPACE}}}mspace", {"width": "0.17em"}))
            spaced.append(element)
        if len(spaced) > len(row) and row.tag.endswith(("}mrow", "}math", "}mtd", "}mstyle")):
            row[:] = spaced


def _opens(element: ElementTree.Element | None) -> bool:
    """Whether what follows this element begins a term."""
    return element is None or (element.tag.endswith("}mo") and element.text not in CLOSING)
