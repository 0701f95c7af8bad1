"""MultiheadAttention and the transformers beside their values, which tests/nn/layer_cases/attention.py has."""

from __future__ import annotations

import numpy as np
import pytest

import xpnn
from xpnn import nn

from ..conftest import Library
from .layer_cases import Case
from .layer_cases.attention import AFTER, CASES, EVERY, D, H, N, T

torch = pytest.importorskip("torch", reason="the reference is torch")
matrix = pytest.importorskip(f"{__package__}.matrix", reason="the reference is torch")
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parameters_are_torchs_in_name_order_and_shape(case: Case) -> None:
    ours, theirs = matrix.build(case)
    assert [(name, tuple(p.shape)) for name, p in ours.named_parameters()] == [
        (name, tuple(p.shape)) for name, p in theirs.named_parameters()
    ]


def test_first_values_have_torchs_spread() -> None:
    xpnn.seed(0)
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    assert np.abs(layer.in_proj_weight).max() <= np.sqrt(6 / (64 + 192))
    np.testing.assert_allclose(np.std(layer.in_proj_weight), np.sqrt(2 / (64 + 192)), rtol=0.05)
    assert not layer.in_proj_bias.any() and not layer.out_proj.bias.any() and layer.bias_k.any()
    model = nn.Transformer(64, 4, 1, 1, 32)
    np.testing.assert_allclose(np.std(model.encoder.layers[0].linear1.weight), np.sqrt(2 / (64 + 32)), rtol=0.05)
    assert model.decoder.layers[0].linear1.bias.any()


def test_the_copies_of_a_stack_are_apart() -> None:
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, 8), 2)
    first, second = stack.layers
    assert first.linear1.weight is not second.linear1.weight
    np.testing.assert_array_equal(first.linear1.weight, second.linear1.weight)


def test_is_causal_alone_hides_what_comes_after() -> None:
    layer = nn.TransformerEncoderLayer(D, H, 8, 0.0)
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    np.testing.assert_allclose(layer(x, is_causal=True), layer(x, AFTER), rtol=1e-5, atol=1e-6)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(D, H, 8, 0.0), 2)
    np.testing.assert_allclose(decoder(x, x, tgt_is_causal=True), decoder(x, x, AFTER), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"add_zero_attn": True}, {"add_bias_kv": True}], ids=str)
def test_is_causal_goes_with_any_other_mask(options: dict[str, bool]) -> None:
    layer = nn.MultiheadAttention(D, H, **options)
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    numbers = np.random.default_rng(1).normal(size=(T, T)).astype(np.float32)
    for mask, both in (
        (None, AFTER),
        (EVERY[0, :, :T], EVERY[0, :, :T] | AFTER),
        (numbers, np.where(AFTER, -np.inf, numbers)),
    ):
        for need_weights in (True, False):
            y, _ = layer(x, x, x, None, need_weights, mask, is_causal=True)
            np.testing.assert_allclose(y, layer(x, x, x, None, need_weights, both)[0], rtol=1e-5, atol=1e-6)


def test_an_activation_may_be_a_function() -> None:
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    layers = [nn.TransformerEncoderLayer(D, H, 8, 0.0, activation=a) for a in ("gelu", xpnn.ops.gelu, nn.GELU())]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
        np.testing.assert_array_equal(layer(x), layers[0](x))


def test_dropout_is_in_training_only_and_follows_the_seed() -> None:
    x = np.random.default_rng(0).normal(size=(T, N, D)).astype(np.float32)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(D, H, 8, 0.5), 2)
    runs = []
    for seed in (1, 1, 2):
        xpnn.seed(seed)
        runs.append(model(x))
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    model.eval()
    assert np.array_equal(model(x), model(x))
    layer = nn.MultiheadAttention(D, H, dropout=0.5)
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert 0.2 < np.mean(weights == 0) < 0.8


def test_a_row_that_sees_nothing_gives_no_nan() -> None:
    layer = nn.MultiheadAttention(D, H)
    x = np.ones((T, N, D), np.float32)
    hidden = np.ones((N, T), bool)
    for need_weights in (True, False):
        y, _ = layer(x, x, x, hidden, need_weights)
        np.testing.assert_array_equal(y, np.broadcast_to(layer.out_proj.bias, y.shape))


def test_the_square_mask_is_torchs() -> None:
    ours = nn.Transformer.generate_square_subsequent_mask(4)
    np.testing.assert_array_equal(ours, torch.nn.Transformer.generate_square_subsequent_mask(4).numpy())


@pytest.mark.parametrize("width", [1, 6, 7])
@pytest.mark.parametrize("batch_first", [False, True])
def test_positional_encoding_is_the_papers(lib: Library, width: int, batch_first: bool) -> None:
    layer = nn.PositionalEncoding(width, 0.0, 50, batch_first, dtype="float64")
    layer.pe.value = lib.asarray(layer.pe.value)
    expected = np.empty((4, width))
    for t in range(4):
        for i in range(width):
            angle = t / 10000 ** ((i - i % 2) / width)
            expected[t, i] = np.cos(angle) if i % 2 else np.sin(angle)
    x = np.random.default_rng(0).normal(size=(2, 4, width) if batch_first else (4, 2, width))
    y = lib.to_numpy(layer(lib.asarray(x)))
    np.testing.assert_allclose(y, x + (expected if batch_first else expected[:, None]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        lib.to_numpy(layer(lib.asarray(x[0] if batch_first else x[:, 0]))), y[0] if batch_first else y[:, 0]
    )
    np.testing.assert_array_equal(lib.to_numpy(xpnn.grad(lambda x: xpnn.namespace(x).sum(layer(x)))(lib.asarray(x))), 1)


def test_positional_encoding_drops_in_training_only() -> None:
    layer = nn.PositionalEncoding(8, 0.5)
    x = np.zeros((10, 2, 8), np.float32)
    assert 0.2 < np.mean(layer(x)[1:] == 0) < 0.8
    assert layer.eval()(x)[0].tolist() == [[0, 1] * 4] * 2
    assert set(layer.state_dict()) == {"pe"}
