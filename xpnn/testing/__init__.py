"""Oracles for tests, of xpnn and of code that uses it: gradients against differences, primitives against references."""

from .gradient import check_gradient as check_gradient
from .primitive import check_primitive as check_primitive
