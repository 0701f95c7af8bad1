"""Each kernel here has one fault, and the emulator says which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.emulator import EmulatorError, EmulatorUnavailableError, Kernel, build, cases

Compiled = Callable[..., Kernel]

# file, instantiation, macro that plants the fault, launch, what the report says
_REPORTED: list[tuple[str, str, str, Callable[[Kernel], Any], str]] = [
    ("gemm.cu", "gemm<16>", "MISSING_BARRIER", cases.gemm, "race: thread .* which thread .* with no barrier between"),
    ("gemm.cu", "gemm<16>", "READS_PAST_END", cases.gemm, "out of bounds: .* reads 4 bytes at 'a'"),
    ("gemm.cu", "gemm<16>", "WRITES_PAST_END", cases.gemm, r"out of bounds: .* writes 4 bytes at 'c' \+1512"),
    ("gemm.cu", "gemm<16>", "DIVERGENT", cases.gemm, "divergent barrier: .* others wait in line"),
    ("gemm.cu", "gemm<16>", "EARLY_EXIT", cases.gemm, "deadlock: 80 of 256 threads .* __syncthreads .* 176 have ended"),
    ("gemm.cu", "gemm<16>", "SHARED_PAST_END", cases.gemm, "out of bounds: .* shared 'tile_b'"),
    ("gemm.cu", "gemm<16>", "MISALIGNED", cases.gemm, "misaligned: .* reads 16 bytes at shared 'tile_b'"),
    (
        "gemm.cu",
        "gemm<16>",
        "UNINITIALISED",
        lambda k: cases.gemm(k, k=10),
        "depend on the schedule: .* is nan .* read before it was written",
    ),
    ("warp.cu", "row_sums<4>", "RACE_BETWEEN_WARPS", cases.rows, "race: .* shared 'partial'"),
    ("warp.cu", "row_sums<4>", "LOST_UPDATE", cases.rows, "race: .* shared 'partial'"),
    ("warp.cu", "row_sums<4>", "DIVERGENT_SHUFFLE", cases.rows, "different calls|deadlock"),
    ("warp.cu", "pairs", "WRONG_NAMED_BARRIER", cases.pairs, "race: .* shared 'buffer'"),
    ("warp.cu", "producer", "EMPTY_TOO_EARLY", cases.producer, "race: .* shared 'half'"),
    ("warp.cu", "rotate", "MISSING_WARP_BARRIER", cases.rotate, "race: .* shared 'buffer'"),
    ("pipeline.cu", "stream", "MISSING_WAIT", cases.stream, "still in flight: a wait is missing"),
    ("pipeline.cu", "stream", "WAIT_TOO_WEAK", cases.stream, "still in flight: a wait is missing"),
    ("pipeline.cu", "stream", "MISSING_BARRIER", cases.stream, "race|still in flight"),
    ("tensor_gemm.cu", "tensor_gemm<__half>", "MISSING_BARRIER", cases.tensor_gemm, "race|still in flight"),
    ("cluster.cu", "ring<4>", "DROPPED_WAIT", cases.ring, "still in flight: a wait is missing|race"),
    ("cluster.cu", "ring<4>", "MISSING_CLUSTER_BARRIER", cases.ring, "used before mbarrier.init"),
    ("cluster.cu", "ring<4>", "MISSING_STEP_BARRIER", cases.ring, "race|still in flight"),
    ("cluster.cu", "ring<4>", "MISSING_EXPECT", cases.ring, "endless wait: thread .* polls an mbarrier"),
    ("cluster.cu", "ring<4>", "LEAVES_EARLY", cases.ring, "st.async to shared 'inbox' .* of a block that has ended"),
    ("words.cu", "words", "DYNAMIC_PAST_END", cases.words, r"out of bounds: .* 'dynamic shared memory' \+ 256 bytes"),
    ("words.cu", "words", "MEMSET_PAST_END", cases.words, "guard band: the kernel wrote after array 'halves'"),
    ("grid.cu", "smooth", "MISSING_GRID_BARRIER", cases.smooth, "race"),
    ("grid.cu", "last_block", "MISSING_COUNTER", cases.last_block, "race: .* a thread of another block wrote"),
    ("grid.cu", "sums", "FLOAT_ATOMICS", cases.sums, "'total' depend on the schedule"),
    ("grid.cu", "sums", "PLAIN_ADD", cases.sums, "race: .* 'counts'"),
]


@pytest.mark.parametrize(
    ("file", "kernel", "fault", "launch", "report"), _REPORTED, ids=[f"{case[0]}-{case[2]}" for case in _REPORTED]
)
def test_is_reported(
    compiled: Compiled, file: str, kernel: str, fault: str, launch: Callable[[Kernel], Any], report: str
) -> None:
    faulty = compiled(file, kernel, fault)
    with pytest.raises(EmulatorError, match=report):
        launch(faulty)


def test_a_wrong_fragment_index_gives_wrong_numbers(compiled: Compiled, rng: np.random.Generator) -> None:
    a, b, c = rng.standard_normal((16, 16)), rng.standard_normal((16, 8)), np.zeros((16, 8))
    kernel = compiled("fragments.cu", "product16<16, false>", "WRONG_INDEX")
    got = cases.product(kernel, a, b, c, lambda x: np.asarray(x, np.float16).view(np.uint16))
    assert np.abs(got - a @ b).max() > 0.1


@pytest.mark.parametrize("fault", ["WRONG_LDMATRIX", "NOT_TRANSPOSED"])
def test_wrong_rows_for_ldmatrix_give_wrong_numbers(compiled: Compiled, fault: str) -> None:
    got, expected = cases.tensor_gemm(compiled("tensor_gemm.cu", "tensor_gemm<__half>", fault))
    assert np.abs(got["c"] - expected["c"]).max() > 0.1


def _address(compiled: Compiled, file: str, kernel: str, *defines: str) -> Kernel:
    return compiled(file, kernel, *defines, address=True)


def test_address_sanitizer_passes_right_kernels(compiled: Compiled) -> None:
    got, expected = cases.gemm(_address(compiled, "gemm.cu", "gemm<16>"), one=True)
    np.testing.assert_allclose(got["c"], expected["c"], rtol=2e-5, atol=2e-5)


def test_address_sanitizer_sees_local_arrays(compiled: Compiled) -> None:
    kernel = _address(compiled, "words.cu", "locals")
    kernel.launch((1,), (32,), {"y": np.zeros(32, np.float32), "n": np.int32(4)})
    with pytest.raises(EmulatorError, match=r"locals: AddressSanitizer: stack-buffer-overflow, words\.cu:\d+"):
        kernel.launch((1,), (32,), {"y": np.zeros(32, np.float32), "n": np.int32(5)})


def test_address_sanitizer_sees_past_a_buffer(compiled: Compiled) -> None:
    with pytest.raises(EmulatorError, match="AddressSanitizer: use-after-poison"):
        cases.gemm(_address(compiled, "gemm.cu", "gemm<16>", "WRITES_PAST_END"), one=True)


def test_an_endless_wait_ends(compiled: Compiled) -> None:
    with pytest.raises(EmulatorError, match="endless wait: thread .* polls 'flag'"):
        compiled("grid.cu", "wait_for_ever").launch((1,), (2,), {"flag": np.zeros(1, np.int32)})


def test_refusals(compiled: Compiled) -> None:
    kernel = compiled("warp.cu", "pairs")
    x = np.zeros((128, 2), np.float32)
    with pytest.raises(EmulatorError, match="array 'x' is not C-contiguous"):
        kernel.launch((1,), (128,), {"x": x[:, 0], "y": x})
    with pytest.raises(TypeError, match="argument 'y' is a int: expected a NumPy array or a NumPy scalar"):
        kernel.launch((1,), (128,), {"x": x, "y": 3})
    with pytest.raises(EmulatorError, match=r"block of \(2048, 1, 1\) has more than 1024 threads"):
        kernel.launch((1,), (2048,), {"x": x, "y": x})
    with pytest.raises(EmulatorError, match="no multiple of clusters of 2"):
        kernel.launch((3,), (128,), {"x": x, "y": x}, cluster=2)
    with pytest.raises(EmulatorError, match="empty launch"):
        kernel.launch((0,), (128,), {"x": x, "y": x})


def test_a_kernel_that_does_not_compile() -> None:
    try:
        with pytest.raises(EmulatorError, match=r"kernel k of kernel\.cu does not compile: kernel\.cu:2:.* 'nonsense'"):
            build("struct P { int n; };\n__global__ void k(P p) { nonsense(); }", "k")
    except EmulatorUnavailableError as error:
        pytest.skip(str(error))
