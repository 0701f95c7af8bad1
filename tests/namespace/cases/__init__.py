"""The table of calls on which every rule is tested: name of the function -> calls."""

from __future__ import annotations

from tests.namespace.cases.arrays import CREATION, MANIPULATION, SELECTION
from tests.namespace.cases.call import Call as Call
from tests.namespace.cases.elementwise import ELEMENTWISE
from tests.namespace.cases.fft import FFT
from tests.namespace.cases.kinks import KINKS as KINKS
from tests.namespace.cases.kinks import Kink as Kink
from tests.namespace.cases.linalg import LINALG, LINEAR_ALGEBRA
from tests.namespace.cases.special import SPECIAL
from tests.namespace.cases.statistical import STATISTICAL
from tests.namespace.cases.steps import STEPS as STEPS

CASES: dict[str, list[Call]] = {
    **ELEMENTWISE,
    **STATISTICAL,
    **MANIPULATION,
    **SELECTION,
    **CREATION,
    **LINEAR_ALGEBRA,
    **LINALG,
    **FFT,
    **SPECIAL,
}
