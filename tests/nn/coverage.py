"""docs/layers.md, a table of what is compared with torch: ``python -m tests.nn.coverage`` runs the cases and writes it."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpnn import nn

from .layer_cases import ROUNDED_BY_TORCH, Case, all_cases

__all__ = ["PAGE", "Row", "covered", "options", "read", "rows"]

PAGE = Path(__file__).parents[2] / "docs/layers.md"
# Options that no case sets, with the reason.
EVERYWHERE = {"device": "where, not what", "dtype": "every case runs in float64 and in float32"}
LEFT_OUT = {
    ("GRU", "reset_after"): "torch has the one form only; tests/nn/test_recurrent.py has the other",
    ("GRUCell", "reset_after"): "likewise",
    **{(f"ConvTranspose{n}d", "padding_mode"): 'it takes "zeros" only, as in torch' for n in (1, 2, 3)},
}
# Modules that no case makes, with the reason.
WITHOUT_CASES = {
    "Module": "the base of all",
    "ModuleList": "it is not called; tests/nn/test_container.py",
    "ModuleDict": "it is not called; tests/nn/test_container.py",
    "ParameterList": "it is not called; tests/nn/test_container.py",
    "ParameterDict": "it is not called; tests/nn/test_container.py",
    "CausalConv1d": "torch has none; tests/nn/test_causal_conv1d.py compares it with a padded depthwise Conv1d",
    "MinGRU": "torch has none; tests/nn/test_min_recurrent.py compares it with its formula",
    "MinLSTM": "torch has none; tests/nn/test_min_recurrent.py compares it with its formula",
    "PositionalEncoding": "torch has none; tests/nn/test_transformer.py compares it with its formula",
}
HEAD = """# Layers and losses against torch

Every layer and loss of `xpnn.nn` that torch has; the options of its constructor that a case of the tests or more set to something
else than the default; the number of cases; and the worst error of all outputs, gradients (of parameters and inputs) and buffers of
these cases: the largest difference in an array over its largest element. torch computes in float64. The tests allow 1e-10 in
float64 and 1e-4 in float32, on NumPy and under array_api_strict, and ask for a case for each option, and for cases in both modes of
a layer that tells training from evaluation (`training`). `device` and `dtype`, which nearly all layers take, are left out.

`python -m tests.nn.coverage` runs the cases of `tests/nn/layer_cases` on NumPy and writes this page; the errors are those of the
machine that did so last.

| layer | options | cases | float64 | float32 |
|---|---|---|---|---|
"""
FOOT = """
\\* {notes}.

Not in the table:

{others}
"""


@dataclass(frozen=True)
class Row:
    """A line of the table, without the errors."""

    kind: str
    options: tuple[str, ...]
    cases: int


def options(kind: str) -> list[str]:
    """What the constructor of our layer takes and a case has to set."""
    named = inspect.signature(getattr(nn, kind)).parameters.values()
    taken = [p.name for p in named if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return [name for name in taken if name not in EVERYWHERE and (kind, name) not in LEFT_OUT and name != "args"]


def covered(cases: list[Case]) -> list[str]:
    """The options of their layer that one of the cases or more set to something else than the default."""
    signature = inspect.signature(getattr(nn, cases[0].kind))
    seen = {name for case in cases for name, value in _set(signature, case) if _differs(signature, name, value)}
    return [name for name in options(cases[0].kind) if name in seen]


def _set(signature: inspect.Signature, case: Case) -> list[tuple[str, Any]]:
    return list(signature.bind(*case.args, **case.options).arguments.items())


def _differs(signature: inspect.Signature, name: str, value: Any) -> bool:
    default = signature.parameters[name].default
    return default is inspect.Parameter.empty or (
        value is not default and not (type(value) is type(default) and value == default)
    )


@functools.cache
def by_kind() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in all_cases():
        found.setdefault(case.kind, []).append(case)
    return dict(sorted(found.items()))


def has_both_modes(cases: list[Case]) -> bool:
    return {case.training for case in cases} == {True, False}


def rows() -> list[Row]:
    """The lines of the table by the cases that there are; "training" beside the options: a layer in both modes."""
    return [
        Row(kind, (*covered(cases), *(["training"] if has_both_modes(cases) else [])), len(cases))
        for kind, cases in by_kind().items()
    ]


def read(text: str) -> list[tuple[Row, float, float]]:
    """The lines of the table as a page has them, and the errors."""
    found = []
    for line in re.findall(r"^\| `(.*) \|$", text, re.MULTILINE):
        kind, names, count, wide, short = [cell.strip() for cell in f"`{line}".split("|")]
        words = tuple(re.findall(r"`(\w+)`", names))
        found.append((Row(kind.strip("`"), words, int(count)), float(wide.rstrip("\\*")), float(short)))
    return found


def worst(cases: list[Case], dtype: str) -> float:
    """The largest error of the cases on NumPy."""
    import array_api_compat.numpy

    from ..conftest import Library
    from .matrix import compared, difference

    lib = Library("numpy", array_api_compat.numpy)
    return max(difference(x, exact) for case in cases for _, x, exact in compared(case, lib, dtype))


def page() -> str:
    lines = []
    for row, cases in zip(rows(), by_kind().values(), strict=True):
        errors = [f"{worst(cases, dtype):.0e}" for dtype in ("float64", "float32")]
        star = "\\*" if row.kind in ROUNDED_BY_TORCH else ""
        names = ", ".join(f"`{name}`" for name in row.options)
        lines.append(f"| `{row.kind}` | {names} | {row.cases} | {errors[0]}{star} | {errors[1]} |\n")
    notes = "; ".join(f"{why}: {far:.0e} is allowed" for far, why in ROUNDED_BY_TORCH.values())
    others = [f"- `{kind}`: {why}." for kind, why in WITHOUT_CASES.items()]
    others += [f"- `{option}` of `{kind}`: {why}." for (kind, option), why in LEFT_OUT.items()]
    return HEAD + "".join(lines) + FOOT.format(notes=notes, others="\n".join(others))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    PAGE.write_text(page(), encoding="utf-8")
