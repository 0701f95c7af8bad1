"""Batches of arrays."""

from .batches import Batches as Batches
from .batches import batches as batches
