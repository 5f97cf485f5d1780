"""LaTeX formulas as MathML, which browsers show without a network or a script."""

from __future__ import annotations

import re
from html import escape

from latex2mathml.converter import convert

# What the converter does not know, said in a way that it does.
REPLACEMENTS: tuple[tuple[str, str], ...] = (
    (r"\\(begin|end)\{aligned\}", r"\\\1{align*}"),
    (r"\\operatorname\*?\{arg\\?[, ]*\s*(min|max)\}", r"\\arg\1 "),
    (r"\\arg\s*\\(min|max)", r"\\arg\1 "),
    (r"\\(?:operatorname\*?|mathrm)\{([A-Za-z0-9 ,-]{2,})\}", r"\\text{\1}"),
)

_UNKNOWN = re.compile(r">\s*(\\[A-Za-z]+|&)\s*<")


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
        mathml = convert(source, display="block" if block else "inline")
    except Exception as error:  # the converter raises many kinds, some of them bare
        raise FormulaError(f"{latex!r}: {error or type(error).__name__}") from error
    unknown = _UNKNOWN.search(mathml)
    if unknown:
        raise FormulaError(f"{latex!r}: {unknown.group(1)} is not understood")
    return mathml


def formula_html(latex: str, *, block: bool) -> str:
    """A formula for a page; one that cannot be converted is shown as its source, marked."""
    try:
        mathml = to_mathml(latex, block=block)
    except FormulaError:
        return f'<code class="formula-source">{escape(latex.strip())}</code>'
    return f'<span class="formula" tabindex="0">{mathml}</span>' if block else mathml
