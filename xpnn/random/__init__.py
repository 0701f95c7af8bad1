"""Random numbers from explicit keys, with the same bits on every array library (Philox4x32-10)."""

from __future__ import annotations

from xpnn.random.distributions import bernoulli as bernoulli
from xpnn.random.distributions import dropout_mask as dropout_mask
from xpnn.random.distributions import dropout_threshold as dropout_threshold
from xpnn.random.distributions import normal as normal
from xpnn.random.distributions import permutation as permutation
from xpnn.random.distributions import randint as randint
from xpnn.random.distributions import truncated_normal as truncated_normal
from xpnn.random.distributions import uniform as uniform
from xpnn.random.distributions import words as words
from xpnn.random.key import Key as Key
from xpnn.random.state import get_state as get_state
from xpnn.random.state import next_key as next_key
from xpnn.random.state import replay as replay
from xpnn.random.state import seed as seed
from xpnn.random.state import set_state as set_state
