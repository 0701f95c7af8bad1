"""The products of linear in float32 on tensor cores: x as one image of rows, the weight as a kernel of one tap; conv_tf32.cu.

For the precisions below "highest". cuBLAS has no three products, and CuPy's switch to one is that of the whole process.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..precision import get_precision
from . import conv_tf32
from .arrays import contiguous
from .conv_shape import ACTIVATIONS, Convolution
from .conv_tensor import Kind
from .dtypes import dtype_name

__all__ = ["Products", "products"]


class Products(NamedTuple):
    """Those of a layer, x (rows, inputs), weight (outputs, inputs)."""

    kind: Kind
    conv: Convolution

    def forward(self, x: Any, weight: Any, bias: Any, activation: str | None) -> Any:
        """y (rows, outputs) = act(x weight^T + bias)."""
        return self.kind.forward(self._image(x), self._filters(weight), bias, self.conv, activation)[0]

    def gradients(self, g: Any, x: Any, weight: Any, *, dx: bool, dw: bool) -> tuple[Any, Any]:
        """(g weight, g^T x), None for what is not wanted."""
        image = self._image(x)
        own_dx, own_dw, _ = self.kind.gradients(
            self._image(g), image, self._filters(weight), self.conv, image.shape, dx=dx, dw=dw, db=False
        )
        return own_dx[0] if dx else None, own_dw.reshape(weight.shape) if dw else None

    def _image(self, x: Any) -> Any:
        return contiguous(x).reshape(1, *x.shape)

    def _filters(self, weight: Any) -> Any:
        return contiguous(weight).reshape(*weight.shape, 1)


def products(x: Any, weight: Any, activation: str | None) -> Products | None:
    """The products for x (rows, inputs); None where the precision, dtype, size, GPU or activation leaves them to cuBLAS."""
    precision = get_precision()
    if (
        precision == "highest"
        or activation not in ACTIVATIONS
        or dtype_name(x.dtype) != "float32"
        or 0 in (*x.shape, *weight.shape)
    ):
        return None
    rows, inputs = x.shape
    conv = Convolution(1, 1, inputs, weight.shape[0], (rows,), (1,), (1,), ((0, 0),), (1,), last=True)
    return Products(conv_tf32.KINDS[precision], conv) if conv_tf32.fits(x) and conv.refusal() is None else None
