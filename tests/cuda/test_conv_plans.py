"""The plans of the convolution kernels: what they choose, what they must move, how they share the sum of a weight gradient."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from xpnn.cuda import conv_float, conv_half, conv_tensor, conv_tf32
from xpnn.cuda.conv_combine import shares
from xpnn.cuda.conv_shape import Convolution, strides


def convolution(
    batch: int, channels: int, filters: int, size: int, k: int, stride: int = 1, groups: int = 1, last: bool = False
) -> Convolution:
    """Over two axes, padded by k // 2."""
    pad = (k // 2, k // 2)
    return Convolution(
        batch, groups, channels // groups, filters // groups, (size, size), (k, k), (stride,) * 2, (pad, pad), (1, 1), last
    )  # fmt: skip


def layers() -> Iterator[Convolution]:
    """Of large, small and odd networks."""
    for batch, last in itertools.product((1, 32, 256), (False, True)):
        yield convolution(batch, 3, 64, 224, 7, 2, last=last)
        yield convolution(batch, 64, 64, 56, 3, last=last)
        yield convolution(batch, 512, 2048, 7, 1, last=last)
        yield convolution(batch, 1024, 1024, 14, 3, groups=32, last=last)
        yield convolution(batch, 144, 144, 56, 3, 2, groups=144, last=last)
        yield convolution(batch, 1, 6, 28, 5, last=last)


def test_no_plan_chooses_a_kernel_that_is_not_listed() -> None:
    listed = {plan.entry for family in (conv_float, conv_half, conv_tf32) for plan in family.instantiations()}
    chosen = set()
    for conv, aligned in itertools.product(layers(), (True, False)):
        assert conv.refusal() is None
        for gradient in (True, False):
            chosen.add(conv_float.gather_plan(conv, None, gradient=gradient, aligned=aligned)[0].entry)
            for kind in (*conv_half.KINDS.values(), *conv_tf32.KINDS.values()):
                plan, _ = conv_tensor.gather_plan(kind, conv, None, gradient=gradient, aligned=aligned)
                chosen |= {plan.entry, conv_tensor.weight_plan(kind, conv)[0].entry}
        chosen.add(conv_float.weight_plan(conv)[0].entry)
    assert listed == chosen
    assert len(listed) <= 24


def test_every_tile_fits_the_shared_memory_of_every_gpu() -> None:
    for family in (conv_float, conv_half, conv_tf32):
        assert max(plan.shared for plan in family.instantiations()) <= 64 * 1024


def test_a_plan_counts_the_bytes_and_the_flops_that_must_be() -> None:
    """x, the weight and y once; the parts of a shared weight gradient once written and once read."""
    conv = convolution(32, 64, 64, 56, 3)
    tensors = 4 * (2 * 32 * 64 * 56 * 56 + 64 * 64 * 9)
    for gradient in (False, True):
        plan, _ = conv_float.gather_plan(conv, "relu", gradient=gradient, aligned=True)
        assert (plan.bytes, plan.flops) == (tensors, 2 * 32 * 56 * 56 * 64 * 64 * 9)
    plan, _ = conv_float.weight_plan(conv)
    assert plan.bytes == tensors + 2 * plan.grid[2] * 64 * (64 * 9 + 1) * 4
    assert plan.flops == 2 * 32 * 56 * 56 * 64 * 64 * 9


def test_a_strided_input_gradient_has_a_block_row_for_each_phase() -> None:
    plan, values = conv_float.gather_plan(convolution(32, 64, 64, 56, 3, 2), None, gradient=True, aligned=True)
    assert plan.grid[2] == 4 and values["vector"] == 0
    assert conv_float.gather_plan(convolution(32, 64, 64, 56, 3), None, gradient=True, aligned=True)[1]["vector"] == 1


def test_small_layers_get_small_tiles() -> None:
    """Few filters a narrow tile; few positions a small one, so that more blocks share the work."""
    entries = [
        conv_float.gather_plan(conv, None, gradient=False, aligned=True)[0].entry
        for conv in (convolution(32, 64, 64, 56, 3), convolution(1, 256, 256, 14, 3), convolution(128, 1, 6, 28, 5))
    ]
    assert [entry[:16] for entry in entries] == ["conv_gather<128,", "conv_gather<64, ", "conv_gather<128,"]
    assert "128, 16" in entries[2]


@pytest.mark.parametrize(("positions", "blocks"), [(1, 1), (255, 1), (100_352, 9), (100_352, 10_000), (2**40, 3)])
def test_shares_are_whole_steps_and_cover_everything(positions: int, blocks: int) -> None:
    share, count = shares(positions, blocks, 16)
    assert share % 16 == 0 and (count - 1) * share < positions <= count * share
    assert share <= 2**30 and (count == 1 or share >= 16 * 16)


def test_strides_of_both_formats() -> None:
    assert strides(6, (4, 5), last=False) == (120, 20, (0, 5, 1))
    assert strides(6, (4, 5), last=True) == (120, 1, (0, 30, 6))
