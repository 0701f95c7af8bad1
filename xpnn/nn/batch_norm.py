"""Normalisation by statistics of channels that a layer may keep: BatchNorm and InstanceNorm of 1, 2 and 3 dimensions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..backend import asarray
from ..namespace import namespace
from ..namespace.array import unbox
from ..ops._activations import check_activation
from ..ops._checks import check_flags, check_number
from . import parameters
from .checks import check_eps, check_features, check_rank, check_sizes
from .module import Buffer, Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _Norm(Module):
    """Parameters and running statistics; ``dims`` is the number of spatial dimensions."""

    dims: ClassVar[int]

    def _set(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        device: str | None, dtype: Any, bias: bool,
    ) -> None:  # fmt: skip
        check_sizes(num_features=num_features)
        check_eps(eps)
        check_flags(affine=affine, track_running_stats=track_running_stats, bias=bias)
        if momentum is not None:
            check_number("momentum", momentum)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"momentum: expected a number in [0, 1] or None, got {momentum}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = (num_features,)
        self.weight = parameters.ones(shape, dtype, device) if affine else None
        self.bias = parameters.zeros(shape, dtype, device) if affine and bias else None
        self.running_mean = Buffer(parameters.zeros(shape, dtype, device)) if track_running_stats else None
        self.running_var = Buffer(parameters.ones(shape, dtype, device)) if track_running_stats else None
        self.num_batches_tracked = Buffer(asarray(0, "int64", device=device)) if track_running_stats else None

    def _evaluated(self, x: Any, activation: str | None = None) -> Any:
        """x normalised with the running statistics; None where those are not to be used."""
        if self.training or self.running_mean is None or self.running_var is None:
            return None
        mean, var = self.running_mean.value, self.running_var.value
        return ops.batch_norm_eval(x, mean, var, self.weight, self.bias, eps=self.eps, activation=activation)

    def _move(self, mean: Any, var: Any, count: int, part: Any) -> None:
        """Moves the running statistics towards those of ``count`` elements, whose var is without correction."""
        if self.running_mean is None or self.running_var is None or count < 2:
            return
        xp = namespace(mean)
        for buffer, value in ((self.running_mean, mean), (self.running_var, var * (count / (count - 1)))):
            kept = buffer.value
            buffer.update(xp.astype(kept * (1 - part) + value * part, kept.dtype, copy=False))

    def extra_repr(self) -> str:
        options = f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, {options}"


class _BatchNorm(_Norm):
    """Each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    x (N, num_features, *S) -> y of the same shape; weight and bias (num_features,). Training normalises with the statistics
    of the batch and moves running_mean and running_var (with correction) towards them by the part ``momentum``, None: so that
    they are the averages over all batches. Evaluation normalises with those, without track_running_stats with the batch's.
    ``layer(x, activation="relu")`` (or "tanh", "sigmoid") applies an activation in the same step, as Sequential asks for.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: str | None = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        self._set(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Any, activation: str | None = None) -> Any:
        ranks = (2, 3) if self.dims == 1 else (self.dims + 2,)
        check_rank(self, x, ranks, "(N, C) or (N, C, L)" if self.dims == 1 else f"(N, C, *S) with {self.dims} axes S")
        check_features(self, x, 1, self.num_features, "num_features")
        check_activation(activation)
        y = self._evaluated(x, activation)
        if y is None:
            y, mean, var = ops.batch_norm(x, self.weight, self.bias, eps=self.eps, activation=activation)
            if self.num_batches_tracked is not None:
                count = x.shape[0] * math.prod(x.shape[2:])
                self._track(self.num_batches_tracked, unbox(mean), unbox(var), count)
        return y

    def _track(self, batches: Buffer, mean: Any, var: Any, count: int) -> None:
        """Counts a batch and takes its statistics into the running ones."""
        xp = namespace(mean)
        seen = xp.asarray(batches.value + 1)
        batches.update(seen)
        self._move(mean, var, count, 1 / xp.astype(seen, mean.dtype) if self.momentum is None else self.momentum)


class _InstanceNorm(_Norm):
    """Each channel of each sample brought to mean 0 and variance 1, with affine=True then scaled and shifted.

    x (N, num_features, *S) or (num_features, *S) -> y of the same shape; weight and bias (num_features,). With
    track_running_stats evaluation normalises with the running averages of the samples' statistics; as in torch, a momentum
    of None then leaves those as they are, and nothing counts the batches.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: str | None = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        self._set(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Any) -> Any:
        shapes = f"(N, C, *S) or (C, *S) with {self.dims} axes S"
        check_rank(self, x, (self.dims + 1, self.dims + 2), shapes)
        check_features(self, x, -self.dims - 1, self.num_features, "num_features")
        if x.ndim == self.dims + 2:
            return self._of_batch(x)
        xp = namespace(x)
        return xp.squeeze(self._of_batch(xp.expand_dims(x, axis=0)), axis=0)

    def _of_batch(self, x: Any) -> Any:
        y = self._evaluated(x)
        if y is not None:
            return y
        count = math.prod(x.shape[2:])
        if count == 1:
            raise ValueError(
                f"{type(self).__name__}: x has shape {tuple(x.shape)}, expected more than 1 value per channel"
            )
        if self.running_mean is not None and math.prod(x.shape):
            self._track(unbox(x), count)
        return ops.group_norm(x, self.weight, self.bias, num_groups=self.num_features, eps=self.eps)

    def _track(self, x: Any, count: int) -> None:
        """Takes the averages over the samples of their statistics into the running ones."""
        xp = namespace(x)
        samples = xp.reshape(x, (x.shape[0], x.shape[1], count))
        mean, var = (xp.mean(f(samples, axis=2), axis=0) for f in (xp.mean, xp.var))
        self._move(mean, var, count, self.momentum or 0.0)


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    dims = 1


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    dims = 2


class BatchNorm3d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    dims = 3


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    dims = 1


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    dims = 2


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    dims = 3
