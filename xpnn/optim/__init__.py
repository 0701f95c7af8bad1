"""Optimisers, schedules of the learning rate, gradient clipping."""

from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .clipping import clip_grad_norm as clip_grad_norm
from .lamb import LAMB as LAMB
from .lion import Lion as Lion
from .optimizer import Optimizer as Optimizer
from .rmsprop import RMSprop as RMSprop
from .schedules import CosineAnnealingLR as CosineAnnealingLR
from .schedules import OneCycleLR as OneCycleLR
from .schedules import Schedule as Schedule
from .schedules import StepLR as StepLR
from .sgd import SGD as SGD
