"""The fixture ``compiled``: a kernel of tests/emulator/kernels, built; skips where there is no compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.emulator import EmulatorUnavailableError, Kernel, build

_FOLDER = Path(__file__).parent / "kernels"


@pytest.fixture
def compiled() -> Callable[..., Kernel]:
    """(file, instantiation, *macros) -> Kernel."""

    def make(file: str, kernel: str, *defines: str, address: bool = False) -> Kernel:
        try:
            return build(_FOLDER / file, kernel, defines, address=address)
        except EmulatorUnavailableError as error:
            pytest.skip(str(error))

    return make
