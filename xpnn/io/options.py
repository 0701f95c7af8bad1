"""The arguments that a layer was made by, read from it: torch's layers and ours keep most of them as attributes of their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..namespace.libraries import is_array
from ..nn.module import Buffer

__all__ = ["kind_of", "options", "read_arguments"]

_Reader = Callable[[Any], Any]

_ATTENTION: dict[str, _Reader] = {
    "bias": lambda m: m.in_proj_bias is not None,
    "add_bias_kv": lambda m: m.bias_k is not None,
}
_TRANSFORMER: dict[str, _Reader] = {
    "d_model": lambda m: m.self_attn.embed_dim,
    "nhead": lambda m: m.self_attn.num_heads,
    "dim_feedforward": lambda m: m.linear1.out_features,
    "dropout": lambda m: m.dropout.p,
    "activation": lambda m: getattr(m.activation, "__name__", m.activation),
    "layer_norm_eps": lambda m: m.norm1.eps,
    "batch_first": lambda m: m.self_attn.batch_first,
    "bias": lambda m: m.linear1.bias is not None,
}
# What is no attribute of the argument's name, by the layer's.
_ELSEWHERE: dict[str, dict[str, _Reader]] = {
    "MultiheadAttention": _ATTENTION,
    "PairwiseDistance": {"p": lambda m: m.norm},
    "TransformerEncoderLayer": _TRANSFORMER,
    "TransformerDecoderLayer": _TRANSFORMER,
    "TransformerEncoder": {"encoder_layer": lambda m: m.layers[0]},
    "TransformerDecoder": {"decoder_layer": lambda m: m.layers[0]},
}
# What torch's signature does not show: it is taken out of **kwargs.
_HIDDEN = {"RNN": {"nonlinearity": "tanh"}}
# Matters of memory, of first values and of how it used to be written: results do not depend on them.
_WITHOUT_EFFECT = frozenset(
    (
        *("device", "dtype", "inplace", "sparse", "enable_nested_tensor", "mask_check"),
        *("init", "_weight", "_freeze", "size_average", "reduce"),
    )
)


def kind_of(module: Any, package: Any, base: type) -> Any:
    """The class of ``package`` that computes what the module does: its own, or one that it changes in __init__ only; or None."""
    added: set[str] = set()
    for kind in type(module).__mro__:
        if kind is base:
            return None
        if getattr(package, kind.__name__, None) is kind:
            return None if any(hasattr(kind, name) for name in added) else kind
        added |= {name for name, x in vars(kind).items() if callable(x) and (name[:2] != "__" or name == "__call__")}
        added.discard("extra_repr")
    return None


def options(kind: type, base: type) -> dict[str, inspect.Parameter]:
    """The arguments of a layer's constructor, with those that it hands on to its base classes as **kwargs."""
    found: dict[str, inspect.Parameter] = {}
    for part in kind.__mro__:
        if part is base:
            break
        if "__init__" not in vars(part):
            continue
        own = list(inspect.signature(vars(part)["__init__"]).parameters.values())[1:]
        named = [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        for p in named:
            found.setdefault(p.name, p)
        if len(named) == len(own):
            break
    for name, default in _HIDDEN.get(kind.__name__, {}).items():
        found.setdefault(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    return found


def read_arguments(
    module: Any, given: dict[str, inspect.Parameter], wanted: dict[str, inspect.Parameter], name: str
) -> tuple[dict[str, Any], list[str]]:
    """The arguments ``wanted`` by a class called ``name``, read from a module made by those ``given``; and what it cannot have."""
    found, problems = {}, []
    for option, parameter in wanted.items():
        value = _read(module, option, name)
        if option in _WITHOUT_EFFECT or option not in given:
            continue
        if value is _NOWHERE or (value is None and option == "dim"):  # None: an axis that torch guesses
            problems.append(f"{name} with {option}={'unknown' if value is _NOWHERE else value}")
            continue
        is_switch = _is_switch(parameter) and (value is None or _holds_numbers(value))
        found[option] = value is not None if is_switch else value
    for option in given.keys() - wanted.keys() - _WITHOUT_EFFECT:
        value, default = _read(module, option, name), given[option].default
        if _is_switch(given[option]) and (value is None or _holds_numbers(value)):
            value = (
                value is not None or getattr(module, "weight", None) is None
            )  # no bias of what has no weight, either
        if not (default is inspect.Parameter.empty or value is _NOWHERE or _same(value, default)):
            problems.append(f"{name} with {option}={value!r}")
    return found, problems


_NOWHERE = object()


def _read(module: Any, option: str, name: str) -> Any:
    """The value of an option, _NOWHERE if the module does not keep it."""
    reader = _ELSEWHERE.get(name, {}).get(option)
    try:
        return getattr(module, option, _NOWHERE) if reader is None else reader(module)
    except AttributeError:
        return getattr(module, option, _NOWHERE)


def _is_switch(parameter: inspect.Parameter) -> bool:
    """Whether an argument says yes or no, as bias does, of which a layer keeps the array."""
    return isinstance(parameter.default, bool) or str(parameter.annotation) in ("bool", "<class 'bool'>")


def _holds_numbers(x: Any) -> bool:
    return isinstance(x, Buffer) or is_array(x)


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the default, or the default along each axis."""
    if isinstance(value, tuple | list) and not isinstance(default, tuple | list):
        return all(x == default for x in value)
    return not _holds_numbers(value) and bool(value == default)
