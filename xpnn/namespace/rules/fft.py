"""The extension ``fft``. The matrix of a discrete Fourier transform is symmetric: it is its own transpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..rule import Composite, Rule, Zero
from .helpers import along, conj

_ONE = "x, /, *, n=None, axis=-1, norm='backward'"
_MANY = "x, /, *, s=None, axes=None, norm='backward'"
_SHIFT = "x, /, *, axes=None"
_FREQUENCIES = "n, /, *, d=1.0, dtype=None, device=None"

_OTHER_NORM = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _resized(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """g cut off or filled up with zeros at the end of each axis: the transpose of what n or s did to x."""
    for axis, (have, want) in enumerate(zip(g.shape, shape, strict=True)):
        if have > want:
            g = g[along(axis, g.ndim, slice(0, want))]
        elif have < want:
            missing = (*g.shape[:axis], want - have, *g.shape[axis + 1 :])
            g = xp.concat([g, xp.zeros(missing, dtype=g.dtype, device=g.device)], axis=axis)
    return g


def _fft(name: str) -> Rule:
    def gradient(xp: Any, g: Any, _out: Any, _x: Any, _n: Any, axis: int, norm: str) -> Any:
        return _resized(xp, getattr(xp.fft, name)(g, axis=axis, norm=norm), _x.shape)

    return Rule(_ONE, x=gradient)


def _fftn(name: str) -> Rule:
    def gradient(xp: Any, g: Any, _out: Any, _x: Any, s: Any, axes: Any, norm: str) -> Any:
        if axes is None and s is not None:
            axes = tuple(range(-len(s), 0))
        return _resized(xp, getattr(xp.fft, name)(g, axes=axes, norm=norm), _x.shape)

    return Rule(_MANY, x=gradient)


def _rfft(xp: Any, g: Any, _out: Any, _x: Any, n: int | None, axis: int, norm: str) -> Any:
    """The half that rfft leaves out gets no gradient: it is filled up with zeros."""
    n = _x.shape[axis] if n is None else n
    return _resized(xp, xp.real(xp.fft.fft(g, n=n, axis=axis, norm=norm)), _x.shape)


def _irfft(xp: Any, g: Any, _out: Any, _x: Any, _n: Any, axis: int, norm: str) -> Any:
    """Each coefficient stands for two, but for those at frequency 0 and, if n is even, at the highest."""
    n = g.shape[axis]
    half = xp.conj(xp.fft.rfft(g, axis=axis, norm=_OTHER_NORM[norm]))
    twice = half[along(axis, g.ndim, slice(1, (n + 1) // 2))] * 2
    parts = [half[along(axis, g.ndim, slice(0, 1))], twice, half[along(axis, g.ndim, slice((n + 1) // 2, None))]]
    return _resized(xp, xp.concat(parts if n > 1 else parts[:1], axis=axis), _x.shape)


def _hfft(xp: Any, x: Any, n: int | None, axis: int, norm: str) -> Any:
    return xp.fft.irfft(conj(xp, x), n=n, axis=axis, norm=_OTHER_NORM[norm])


def _ihfft(xp: Any, x: Any, n: int | None, axis: int, norm: str) -> Any:
    return xp.conj(xp.fft.rfft(x, n=n, axis=axis, norm=_OTHER_NORM[norm]))


def _axes(x: Any, s: Sequence[int] | None, axes: Sequence[int] | None) -> tuple[int, ...]:
    if axes is not None:
        return tuple(axes)
    return tuple(range(-len(s), 0)) if s is not None else tuple(range(x.ndim))


def _rfftn(xp: Any, x: Any, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str) -> Any:
    *others, last = _axes(x, s, axes)
    half = xp.fft.rfft(x, n=None if s is None else s[-1], axis=last, norm=norm)
    return xp.fft.fftn(half, s=None if s is None else s[:-1], axes=others, norm=norm) if others else half


def _irfftn(xp: Any, x: Any, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str) -> Any:
    *others, last = _axes(x, s, axes)
    if others:
        x = xp.fft.ifftn(x, s=None if s is None else s[:-1], axes=others, norm=norm)
    return xp.fft.irfft(x, n=None if s is None else s[-1], axis=last, norm=norm)


RULES: dict[str, Any] = {
    "fft.fft": _fft("fft"),
    "fft.fftfreq": Zero(_FREQUENCIES),
    "fft.fftn": _fftn("fftn"),
    "fft.fftshift": Rule(_SHIFT, x=lambda xp, g, _out, _x, axes: xp.fft.ifftshift(g, axes=axes)),
    "fft.hfft": Composite(_ONE, _hfft),
    "fft.ifft": _fft("ifft"),
    "fft.ifftn": _fftn("ifftn"),
    "fft.ifftshift": Rule(_SHIFT, x=lambda xp, g, _out, _x, axes: xp.fft.fftshift(g, axes=axes)),
    "fft.ihfft": Composite(_ONE, _ihfft),
    "fft.irfft": Rule(_ONE, x=_irfft),
    "fft.irfftn": Composite(_MANY, _irfftn),
    "fft.rfft": Rule(_ONE, x=_rfft),
    "fft.rfftfreq": Zero(_FREQUENCIES),
    "fft.rfftn": Composite(_MANY, _rfftn),
}
