"""Pooling over 1, 2 and 3 dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..backend import follow
from ..ops._adaptive import requested_sizes
from ..ops._checks import check_array, check_flags, check_number
from ..ops._windows import first_axis, per_axis
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Pool(Module):
    dims: ClassVar[int]

    def _set(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, data_format: str) -> None:
        self.kernel_size = per_axis("kernel_size", kernel_size, self.dims)
        self.stride = self.kernel_size if stride is None else per_axis("stride", stride, self.dims)
        self.padding = per_axis("padding", padding, self.dims, 0)
        first_axis(data_format)  # raises for another word
        check_flags(ceil_mode=ceil_mode)
        self.ceil_mode = ceil_mode
        self.data_format = data_format

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, ceil_mode={self.ceil_mode}"
        )


class _MaxPool(_Pool):
    """The largest element of each window.

    x (N, C, *S) or (C, *S) -> y (N, C, *S'). kernel_size, stride (None: kernel_size), padding, dilation: an integer or one
    per dimension. return_indices: (y, where in S each of its elements was), for MaxUnpool. ceil_mode: a last window that the
    input fills only in part counts.
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        return_indices: bool = False, ceil_mode: bool = False, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        self._set(kernel_size, stride, padding, ceil_mode, data_format)
        self.dilation = per_axis("dilation", dilation, self.dims)
        check_flags(return_indices=return_indices)
        self.return_indices = return_indices

    def forward(self, x: Any) -> Any:
        pool = (ops.max_pool1d, ops.max_pool2d, ops.max_pool3d)[self.dims - 1]
        options = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)
        return pool(x, *options, data_format=self.data_format)


class _AvgPool(_Pool):
    """The mean of each window.

    x (N, C, *S) or (C, *S) -> y (N, C, *S'). kernel_size, stride (None: kernel_size), padding: an integer or one per
    dimension. count_include_pad: padding counts as zeros. divisor_override: divide by this number (2 and 3 dimensions).
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        self._set(kernel_size, stride, padding, ceil_mode, data_format)
        check_flags(count_include_pad=count_include_pad)
        self.count_include_pad = count_include_pad
        self.divisor_override: float | None = None

    def forward(self, x: Any) -> Any:
        options = (self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        if self.dims == 1:
            return ops.avg_pool1d(x, *options, data_format=self.data_format)
        pool = ops.avg_pool2d if self.dims == 2 else ops.avg_pool3d
        return pool(x, *options, self.divisor_override, data_format=self.data_format)


class _AvgPoolOfPlanes(_AvgPool):
    __doc__ = _AvgPool.__doc__

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: float | None = None, *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad, data_format=data_format)
        if divisor_override is not None:
            check_number("divisor_override", divisor_override)
        self.divisor_override = divisor_override


class _LPPool(_Pool):
    """(sum of x^norm_type)^(1/norm_type) of each window.

    x (N, C, *S) or (C, *S) -> y (N, C, *S'). kernel_size, stride (None: kernel_size): an integer or one per dimension.
    """

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False,
        *, data_format: str = "channels_first",
    ) -> None:  # fmt: skip
        self._set(kernel_size, stride, 0, ceil_mode, data_format)
        check_number("norm_type", norm_type)
        self.norm_type = norm_type

    def forward(self, x: Any) -> Any:
        pool = (ops.lp_pool1d, ops.lp_pool2d, ops.lp_pool3d)[self.dims - 1]
        return pool(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode, data_format=self.data_format)


class _MaxUnpool(_Pool):
    """The elements of a MaxPool back in their places, zeros between them; layer(x, indices, output_size=None).

    x and the indices that MaxPool returned (N, C, *S') or (C, *S') -> y (N, C, *S), S being output_size (None: what the
    windows cover).
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        self._set(kernel_size, stride, padding, False, "channels_first")

    def forward(self, x: Any, indices: Any, output_size: Any = None) -> Any:
        check_array("x", x)
        indices = follow(indices, x, "indices")
        unpool = (ops.max_unpool1d, ops.max_unpool2d, ops.max_unpool3d)[self.dims - 1]
        return unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AdaptivePool(Module):
    dims: ClassVar[int]

    def __init__(self, output_size: Any, *, data_format: str = "channels_first") -> None:
        requested_sizes(output_size, (1,) * self.dims)  # raises for what no input could be pooled to
        first_axis(data_format)
        self.output_size = output_size
        self.data_format = data_format

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_AdaptivePool):
    """The largest element of each of the windows that an output of the given size has.

    x (N, C, *S) or (C, *S) -> y (N, C, *output_size). output_size: an integer or one per dimension; None keeps a size.
    return_indices: (y, where in S each of its elements was).
    """

    def __init__(self, output_size: Any, return_indices: bool = False, *, data_format: str = "channels_first") -> None:
        super().__init__(output_size, data_format=data_format)
        check_flags(return_indices=return_indices)
        self.return_indices = return_indices

    def forward(self, x: Any) -> Any:
        pool = (ops.adaptive_max_pool1d, ops.adaptive_max_pool2d, ops.adaptive_max_pool3d)[self.dims - 1]
        return pool(x, self.output_size, self.return_indices, data_format=self.data_format)


class _AdaptiveAvgPool(_AdaptivePool):
    """The mean of each of the windows that an output of the given size has.

    x (N, C, *S) or (C, *S) -> y (N, C, *output_size). output_size: an integer or one per dimension; None keeps a size.
    """

    def forward(self, x: Any) -> Any:
        pool = (ops.adaptive_avg_pool1d, ops.adaptive_avg_pool2d, ops.adaptive_avg_pool3d)[self.dims - 1]
        return pool(x, self.output_size, data_format=self.data_format)


class MaxPool1d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    dims = 1


class MaxPool2d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    dims = 2


class MaxPool3d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    dims = 3


class AvgPool1d(_AvgPool):
    __doc__ = _AvgPool.__doc__
    dims = 1


class AvgPool2d(_AvgPoolOfPlanes):
    __doc__ = _AvgPool.__doc__
    dims = 2


class AvgPool3d(_AvgPoolOfPlanes):
    __doc__ = _AvgPool.__doc__
    dims = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    dims = 3


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    dims = 3


class LPPool1d(_LPPool):
    __doc__ = _LPPool.__doc__
    dims = 1


class LPPool2d(_LPPool):
    __doc__ = _LPPool.__doc__
    dims = 2


class LPPool3d(_LPPool):
    __doc__ = _LPPool.__doc__
    dims = 3


class MaxUnpool1d(_MaxUnpool):
    __doc__ = _MaxUnpool.__doc__
    dims = 1


class MaxUnpool2d(_MaxUnpool):
    __doc__ = _MaxUnpool.__doc__
    dims = 2


class MaxUnpool3d(_MaxUnpool):
    __doc__ = _MaxUnpool.__doc__
    dims = 3
