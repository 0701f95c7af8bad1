"""Files: weights and checkpoints in and out, written atomically; networks of torch."""

from .atomic import atomic_write as atomic_write
from .checkpoint import load_checkpoint as load_checkpoint
from .checkpoint import save_checkpoint as save_checkpoint
from .keras import keras_recurrent as keras_recurrent
from .torch_modules import from_torch as from_torch
from .torch_modules import to_torch as to_torch
from .weights import load as load
from .weights import save as save
