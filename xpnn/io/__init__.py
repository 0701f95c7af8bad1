"""Files: weights in and out, written atomically."""

from .atomic import atomic_write as atomic_write
from .keras import keras_recurrent as keras_recurrent
from .weights import load as load
from .weights import save as save
