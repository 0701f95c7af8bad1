"""Batches of arrays, and their way to a device."""

from .batches import Batches as Batches
from .batches import batches as batches
from .prefetch import Prefetch as Prefetch
from .prefetch import prefetch as prefetch
