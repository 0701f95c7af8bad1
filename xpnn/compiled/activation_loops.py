"""The loops of activation.py: y = f(x) and dx = g f'(x) element by element, f' from y where y tells it; imports Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from .float32 import cdf, compiled, exp, expm1, log1p, sigmoid, tanh

__all__ = ["LOOPS"]

_f = np.float32
_INVERSE_ROOT_TAU = _f(0.3989422804014327)
_ROOT_2_OVER_PI, _CUBIC = _f(0.7978845608028654), _f(0.044715)


@compiled
def _relu(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = _f(0) if x[i] <= _f(0) else x[i]


@compiled
def _relu_back(y: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(y)):
        dx[i] = g[i] if y[i] > _f(0) else _f(0)


@compiled
def _leaky_relu(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = x[i] if x[i] > _f(0) else a * x[i]


@compiled
def _leaky_relu_back(x: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        dx[i] = g[i] if x[i] > _f(0) else a * g[i]


@compiled
def _tanh(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = tanh(x[i])


@compiled
def _tanh_back(y: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(y)):
        dx[i] = g[i] * (_f(1) - y[i] * y[i])


@compiled
def _sigmoid(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = sigmoid(x[i])


@compiled
def _sigmoid_back(y: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(y)):
        dx[i] = g[i] * (_f(1) - y[i]) * y[i]


@compiled
def _silu(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = x[i] * sigmoid(x[i])


@compiled
def _silu_back(x: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        s = sigmoid(x[i])
        dx[i] = g[i] * (s + x[i] * s * (_f(1) - s))


@compiled
def _gelu(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = x[i] * cdf(x[i])[0]


@compiled
def _gelu_back(x: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        p, e = cdf(x[i])
        dx[i] = g[i] * (p + x[i] * e * _INVERSE_ROOT_TAU)


@compiled
def _gelu_tanh(x: Any, y: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        v = x[i]
        y[i] = v * sigmoid(_f(2) * _ROOT_2_OVER_PI * (v + _CUBIC * v * v * v))


@compiled
def _gelu_tanh_back(x: Any, g: Any, dx: Any, a: Any, b: Any) -> None:
    for i in range(len(x)):
        v = x[i]
        s = sigmoid(_f(2) * _ROOT_2_OVER_PI * (v + _CUBIC * v * v * v))
        slope = _f(2) * _ROOT_2_OVER_PI * (_f(1) + _f(3) * _CUBIC * v * v)
        dx[i] = g[i] * (s + v * s * (_f(1) - s) * slope)


@compiled
def _softplus(x: Any, y: Any, beta: Any, threshold: Any) -> None:
    inverse = _f(1) / beta
    for i in range(len(x)):
        z = beta * x[i]
        soft = (max(z, _f(0)) + log1p(exp(-abs(z)))) * inverse
        y[i] = x[i] if z > threshold or z != z else soft


@compiled
def _softplus_back(x: Any, g: Any, dx: Any, beta: Any, threshold: Any) -> None:
    for i in range(len(x)):
        z = beta * x[i]
        dx[i] = g[i] if z > threshold else g[i] * sigmoid(z)


@compiled
def _elu(x: Any, y: Any, alpha: Any, b: Any) -> None:
    for i in range(len(x)):
        y[i] = x[i] if x[i] > _f(0) else alpha * expm1(x[i])


@compiled
def _elu_back(x: Any, g: Any, dx: Any, alpha: Any, b: Any) -> None:
    for i in range(len(x)):
        dx[i] = g[i] if x[i] > _f(0) else g[i] * alpha * exp(x[i])


LOOPS = {
    "relu": (_relu, _relu_back),
    "tanh": (_tanh, _tanh_back),
    "sigmoid": (_sigmoid, _sigmoid_back),
    "silu": (_silu, _silu_back),
    "gelu": (_gelu, _gelu_back),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_back),
    "softplus": (_softplus, _softplus_back),
    "elu": (_elu, _elu_back),
    "leaky_relu": (_leaky_relu, _leaky_relu_back),
}
