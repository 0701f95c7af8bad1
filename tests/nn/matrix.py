"""A case of tests/nn/layer_cases, computed here and in torch: outputs, gradients of parameters and inputs, buffers.

torch computes in float64, from numbers that are exact in the dtype under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import xpnn
from xpnn import nn, tree
from xpnn.namespace.libraries import is_array

from ..conftest import Library
from .layer_cases import Case, Part

__all__ = [
    "NOT_TORCHS",
    "Results",
    "build",
    "called",
    "compared",
    "difference",
    "expected",
    "found",
    "inputs_of",
    "ours_alone",
]

# Options that are not handed to torch: it has none of the first, and gradients of another kind with the second.
NOT_TORCHS = {"data_format", "sparse"}
Results = dict[str, Any]  # arrays by a word for what they are


def build(case: Case, dtype: str = "float64") -> tuple[Any, Any]:
    """Our layer in a dtype and torch's in float64, with the same weights."""
    ours = ours_alone(case, dtype)
    options = {k: _of_torch(v) for k, v in case.options.items() if k not in NOT_TORCHS}
    theirs = getattr(torch.nn, case.kind)(*map(_of_torch, case.args), **options).double().train(case.training)
    state = {name: torch.tensor(np.asarray(x, np.float64)) for name, x in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    return ours, theirs


def ours_alone(case: Case, dtype: str = "float64") -> Any:
    """Our layer, whose ones and zeros, which would hide what is done with them, have become something else."""
    xpnn.seed(1)
    ours = getattr(nn, case.kind)(*map(_of_ours, case.args), **{k: _of_ours(v) for k, v in case.options.items()})
    ours = ours.astype("float64").train(case.training)
    rng = np.random.default_rng(2)
    for p in ours.parameters():
        if p.size and np.all(p == p.flat[0]):
            p += rng.normal(size=p.shape)
    for _, buffer in ours.named_buffers():
        if buffer.value.dtype.kind == "f":
            buffer.value = buffer.value + rng.uniform(size=buffer.value.shape)
    return ours.astype(dtype)


def inputs_of(case: Case, dtype: str = "float64") -> list[Any]:
    """Trees of arrays, whose numbers are exact in the dtype."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, case.integers, case.inputs[0])] if case.integers else []
    drawn += [_drawn(x, rng) for x in case.inputs[len(drawn) :]]
    return [tree.map(lambda x: x.astype(dtype).astype(float) if x.dtype.kind == "f" else x, x) for x in drawn]


def expected(case: Case, theirs: Any, inputs: list[Any]) -> tuple[Results, Results]:
    """torch's outputs and buffers, then a gradient for each output and those of inputs and parameters."""
    tensors = [
        tree.map(lambda x, free=i not in case.fixed: torch.tensor(x, requires_grad=free and x.dtype.kind == "f"), x)
        for i, x in enumerate(inputs)
    ]
    leaves = floats(case, tensors)
    outputs = {f"output {i}": y for i, y in enumerate(_tensors(_called(case, theirs, tensors)))}
    rng = np.random.default_rng(3)
    gs = {name: rng.normal(size=tuple(y.shape)) for name, y in outputs.items() if y.dtype.is_floating_point}
    wanted = {**leaves, **dict(theirs.named_parameters())}
    heads, given = [outputs[name] for name in gs], [torch.tensor(g) for g in gs.values()]
    back = torch.autograd.grad(heads, list(wanted.values()), given, allow_unused=True)
    gradients = {
        name: np.zeros(tuple(x.shape)) if d is None else d.numpy()
        for (name, x), d in zip(wanted.items(), back, strict=True)
    }
    buffers = {f"buffer {name}": x.numpy() for name, x in theirs.named_buffers()}
    values = {name: y.detach().numpy() for name, y in outputs.items()}
    return {**values, **gradients, **buffers}, gs


def found(case: Case, ours: Any, inputs: list[Any], gs: Results, lib: Library, dtype: str) -> Results:
    """The same of xpnn, on a library and in a dtype, as NumPy arrays."""

    def own(x: Any) -> Any:
        return lib.asarray(x, dtype if x.dtype.kind == "f" else None)

    model = tree.map(lambda a: lib.asarray(a) if is_array(a) else a, ours)
    for _, buffer in model.named_buffers():
        buffer.value = lib.asarray(buffer.value)
    given = [tree.map(own, x) for x in inputs]
    leaves, whole = floats(case, given), {}
    parts = [*([model] if list(model.parameters()) else []), *([leaves] if leaves else [])]

    def call(*boxed: Any) -> Results:
        layer = boxed[0] if parts[0] is model else model
        xs = [with_leaves(x, boxed[-1] if leaves else {}, str(i)) for i, x in enumerate(given)]
        out = called(case, layer, xs, own)
        whole.update({name: y for name, y in out.items() if name not in gs})
        return {name: out[name] for name in gs}

    out, pullback = xpnn.vjp(call, *parts)
    gradients: Results = {}
    for part, d in zip(parts, pullback({name: own(g) for name, g in gs.items()}), strict=True):
        gradients |= dict(d.named_parameters()) if part is model else d
    buffers = {f"buffer {name}": buffer.value for name, buffer in model.named_buffers()}
    return {name: lib.to_numpy(x) for name, x in {**out, **whole, **gradients, **buffers}.items()}


def compared(case: Case, lib: Library, dtype: str) -> Iterator[tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """(what, ours, torch's) for each output, gradient and buffer of a case."""
    ours, theirs = build(case, dtype)
    inputs = inputs_of(case, dtype)
    theirs_found, gs = expected(case, theirs, inputs)
    ours_found = found(case, ours, inputs, gs, lib, dtype)
    assert set(ours_found) == set(theirs_found)
    yield from ((name, ours_found[name], x) for name, x in theirs_found.items())


def difference(x: np.ndarray[Any, Any], exact: np.ndarray[Any, Any]) -> float:
    """The largest error of an element, over the largest element of the array (0.01 if all are smaller)."""
    if not exact.size:
        return 0.0
    finite = np.isfinite(exact)
    assert np.array_equal(x[~finite], exact[~finite], equal_nan=True)
    scale = max(float(np.abs(exact[finite]).max(initial=0.0)), 0.01)
    return float(np.abs(x[finite].astype(float) - exact[finite]).max(initial=0.0)) / scale


# ---- arguments


def _of_ours(x: Any) -> Any:
    if isinstance(x, Part):
        return getattr(nn, x.kind)(*map(_of_ours, x.args), **{k: _of_ours(v) for k, v in x.options.items()})
    return x.copy() if isinstance(x, np.ndarray) else x


def _of_torch(x: Any) -> Any:
    if isinstance(x, Part):
        return getattr(torch.nn, x.kind)(*map(_of_torch, x.args), **{k: _of_torch(v) for k, v in x.options.items()})
    return torch.tensor(x) if isinstance(x, np.ndarray) else x


def _drawn(x: Any, rng: np.random.Generator) -> Any:
    if isinstance(x, np.ndarray):
        return x
    return rng.normal(size=x) if all(isinstance(n, int) for n in x) else tuple(_drawn(part, rng) for part in x)


def floats(case: Case, inputs: list[Any]) -> Results:
    """The leaves of the inputs that are differentiated, by number of the input and path."""
    pairs = (
        (f"input {i} {path}", x) for i, y in enumerate(inputs) if i not in case.fixed for path, x in tree.flatten(y)
    )
    return {name: x for name, x in pairs if "float" in str(x.dtype)}


def with_leaves(x: Any, leaves: Results, number: str) -> Any:
    """The input with the leaves in their places."""
    if not leaves:
        return x
    taken = iter([leaves.get(f"input {number} {path}", old) for path, old in tree.flatten(x)])
    return tree.map(lambda _: next(taken), x)


# ---- calls


def called(case: Case, model: Any, xs: list[Any], own: Any) -> Results:
    """What our layer returns, without the weights that were not asked for."""
    call = {k: own(v) if isinstance(v, np.ndarray) else v for k, v in case.call.items()}
    if case.lengths:
        call["lengths"] = own(np.array(case.lengths))
    if case.kind == "CTCLoss":
        xs = [xpnn.ops.log_softmax(xs[0]), *xs[1:]]  # torch's gradient is right behind one only
    out = model(*(xs * 3 if case.same else xs), **call)
    return {f"output {i}": y for i, y in enumerate(y for y in tree.leaves(out) if y is not None)}


def _called(case: Case, theirs: Any, xs: list[Any]) -> Any:
    call = {k: _of_torch(v) for k, v in case.call.items()}
    if case.kind == "CTCLoss":
        xs = [torch.log_softmax(xs[0], -1), *xs[1:]]
    if case.lengths:
        total = xs[0].shape[1 if case.options.get("batch_first") else 0]
        first = {"batch_first": bool(case.options.get("batch_first"))}
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            xs[0], torch.tensor(case.lengths), enforce_sorted=False, **first
        )
        y, state = theirs(packed, *xs[1:])
        return torch.nn.utils.rnn.pad_packed_sequence(y, total_length=total, **first)[0], state
    if getattr(theirs, "inplace", False):  # which torch does to no leaf
        xs = [x.clone() for x in xs]
    if case.options.get("data_format") == "channels_last":
        first_spatial = -1 - int(case.kind[-2])
        return tree.map(
            lambda y: y.movedim(first_spatial, -1), theirs(*(x.movedim(-1, first_spatial) for x in xs), **call)
        )
    return theirs(*(xs * 3 if case.same else xs), **call)


def _tensors(out: Any) -> list[Any]:
    if isinstance(out, torch.Tensor):
        return [out]
    return [y for part in out for y in _tensors(part)] if isinstance(out, tuple | list) else []
