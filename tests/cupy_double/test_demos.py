"""`xpnn demo` with arrays of CuPy only, from the data to the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cupy_double.sync import counting
from xpnn.cli.main import main

pytestmark = pytest.mark.gpu
# Where the host may wait: once an epoch, for scores, for how many classes there are, for what is written
# to files and drawn, and for the progress bar.
MAY_WAIT = ("xpnn.train.", "xpnn.backend:", "xpnn.demos.classify:")


@pytest.mark.parametrize(
    ("name", "package"), [("dnn", "mlxtend"), ("cnn", "mlxtend"), ("lstm", "sktime"), ("gru", "pmdarima")]
)
def test_a_quick_run(name: str, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for needed in ("matplotlib", package):
        pytest.importorskip(needed, reason=f"needs {needed}, of the extra examples")
    with counting() as account:
        assert main(["demo", name, "--quick", "--device", "gpu", "--json", "--out", str(tmp_path)]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["device"] == "gpu:0"
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png", ".safetensors"}
    waits = [wait for wait in account.waits if not wait.partition(" at ")[2].startswith(MAY_WAIT)]
    assert waits == [] and len(account.waits) < 100
