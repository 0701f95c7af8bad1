"""Training loops in one call."""

from .callbacks import Checkpoint as Checkpoint
from .callbacks import EarlyStopping as EarlyStopping
from .callbacks import StopTraining as StopTraining
from .evaluate import evaluate as evaluate
from .evaluate import predict as predict
from .fit import fit as fit
from .history import History as History
from .tune import tune as tune
from .warmup import warmup as warmup
