"""fold_batch_norm: batch norms taken into the layers before them, for inference."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

from ..backend import device_of, on_device
from ..namespace.libraries import raw_namespace
from .activation import Identity
from .batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .container import Sequential
from .convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module

__all__ = ["fold_batch_norm"]

# By layer the batch norm that sees its outputs as channels; these very types, for a subclass may do something else.
_NORMS: dict[type, type] = {
    Linear: BatchNorm1d,
    **dict.fromkeys((Conv1d, ConvTranspose1d), BatchNorm1d),
    **dict.fromkeys((Conv2d, ConvTranspose2d), BatchNorm2d),
    **dict.fromkeys((Conv3d, ConvTranspose3d), BatchNorm3d),
}
_TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)

Model = TypeVar("Model", bound=Module)


def fold_batch_norm(model: Model) -> Model:
    """A copy of a network for inference, without the batch norms that follow a Linear, Conv or ConvTranspose.

    Their statistics go into the layer before: weight' = weight s and bias' = (bias - mean) s + shift, where s is scale /
    sqrt(var + eps) for each output, in float64, and rounded once. Two layers are a pair where they follow each other in a
    Sequential, which then applies an activation behind them in the same step; or where a module's class says that its forward
    calls them so, by the names of its attributes: ``normalized_by = {"conv1": "bn1", "convs.0": "norms.0"}``; there an
    Identity takes the norm's place. A Linear is taken to see (N, features), which its BatchNorm1d normalises.
    Raises ValueError for a model in training, and for a norm without running statistics. The model stays as it is.
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: expected an xpnn.nn.Module, got {type(model).__name__}")
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(f"model: expected one in evaluation (model.eval()), got {training[0]} in training")
    with on_device(model.device):  # CuPy copies to the current one
        folded = copy.deepcopy(model)
    for name, module in list(folded.named_modules()):
        if isinstance(module, Sequential) and type(module).forward is Sequential.forward:
            _fold_neighbours(module, name)
        _fold_declared(module, name)
    return folded


def _fold_neighbours(module: Sequential, path: str) -> None:
    """The pairs that follow each other in a Sequential, in which the norm leaves no gap."""
    names = list(module._named())
    for i in reversed(range(len(names) - 1)):
        layer, norm = module[i], module[i + 1]
        if _is_pair(layer, norm):
            module[i] = _joined(layer, norm, f"{path}.{names[i + 1]}" if path else names[i + 1])
            del module[i + 1]


def _fold_declared(module: Module, path: str) -> None:
    """The pairs that a module names."""
    for first, second in getattr(type(module), "normalized_by", {}).items():
        (owner, name), (holder, other) = (_place(module, key, path) for key in (first, second))
        layer, norm = owner[name], holder[other]
        if type(norm) is Identity:  # the module is in two places, and has been here
            continue
        if not _is_pair(layer, norm):
            kinds = f"{type(layer).__name__} and {type(norm).__name__}"
            raise ValueError(
                f"normalized_by: expected a layer and a batch norm of its outputs at {first!r} and {second!r}, got {kinds}"
            )
        owner[name] = _joined(layer, norm, f"{path}.{second}" if path else second)
        holder[other] = Identity()


def _place(module: Module, key: str, path: str) -> tuple[Any, Any]:
    """The dict or list that holds what is called ``key``, and its place in there."""
    *outer, last = key.split(".")
    try:
        for name in outer:
            module = _held(module)[_index(module, name)]
        owner, index = _held(module), _index(module, last)
        owner[index]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(f"normalized_by: expected names of layers in {path or 'the model'}, got {key!r}") from None
    return owner, index


def _held(x: Any) -> Any:
    return x.__dict__ if isinstance(x, Module) else x


def _index(x: Any, name: str) -> Any:
    return int(name) if isinstance(x, list) else name


def _is_pair(layer: Any, norm: Any) -> bool:
    """Whether the norm normalises the outputs of the layer: with channels last its axis is another one."""
    kind = _NORMS.get(type(layer))
    if kind is None or not (type(norm) is kind and getattr(layer, "data_format", "channels_first") == "channels_first"):
        return False
    outputs = layer.out_features if type(layer) is Linear else layer.out_channels
    return bool(getattr(norm, "num_features", None) == outputs)


def _joined(layer: Any, norm: Any, path: str) -> Any:
    """The layer with the norm's scale and shift in its weight and bias."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            f"model: expected running statistics in every batch norm, got {path} without (track_running_stats=False)"
        )
    new = copy.copy(layer)
    with on_device(device_of(layer.weight)):
        new.weight, new.bias = _folded(layer, norm)
    return new


def _folded(layer: Any, norm: Any) -> tuple[Any, Any]:
    weight = layer.weight
    xp = raw_namespace(weight)

    def wide(x: Any) -> Any:
        return xp.astype(x, xp.float64)

    scale = 1 / xp.sqrt(wide(norm.running_var.value) + norm.eps)
    scale = scale if norm.weight is None else scale * wide(norm.weight)
    shift = -wide(norm.running_mean.value) if layer.bias is None else wide(layer.bias) - wide(norm.running_mean.value)
    shift = shift * scale if norm.bias is None else shift * scale + wide(norm.bias)
    return xp.astype(_scaled(xp, wide(weight), scale, layer), weight.dtype), xp.astype(shift, weight.dtype)


def _scaled(xp: Any, weight: Any, scale: Any, layer: Any) -> Any:
    """The weight times the scale of its output; that of a transposed convolution is (C, K / groups, *kernel)."""
    if not isinstance(layer, _TRANSPOSED):
        return weight * xp.reshape(scale, (-1,) + (1,) * (weight.ndim - 1))
    inputs, outputs, *kernel = weight.shape
    groups: int = layer.groups
    parts = xp.reshape(weight, (groups, inputs // groups, outputs, math.prod(kernel)))
    return xp.reshape(parts * xp.reshape(scale, (groups, 1, outputs, 1)), weight.shape)
