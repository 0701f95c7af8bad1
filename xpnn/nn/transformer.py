"""Transformers (Vaswani et al. 2017): encoder and decoder layers, stacks of them, and both together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .. import init, ops
from ..namespace import namespace
from ..ops._checks import check_flags, check_floating
from ..random import next_key
from .attention import MultiheadAttention
from .checks import check_eps, check_features, check_probability, check_rank, check_sizes
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Any], Any]


class _Layer(Module):
    """What encoder and decoder layers share: the parts, and the network that sees each step alone."""

    norms: int
    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = "relu",
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        check_probability(dropout, "dropout")
        check_eps(layer_norm_eps, "layer_norm_eps")
        if d_model % nhead:
            raise ValueError(f"nhead: expected a divisor of d_model {d_model}, got {nhead}")
        check_flags(batch_first=batch_first, norm_first=norm_first, bias=bias)
        if not callable(activation) and not (isinstance(activation, str) and activation in ("relu", "gelu")):
            raise ValueError(f'activation: expected "relu", "gelu" or a function, got {activation!r}')
        self.d_model, self.batch_first, self.norm_first = d_model, batch_first, norm_first
        self.activation = activation
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        attentions = ("self_attn", "multihead_attn")[: self.norms - 1]
        for name in attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **where))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        for i in range(1, self.norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **where))
        for i in range(1, self.norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))

    def _around(self, i: int, x: Any, block: Callable[[Any], Any]) -> Any:
        """x + block(x) with dropout and norm number i, before the block or after the sum."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(block(norm(x)))
        return norm(x + dropout(block(x)))

    def _feed_forward(self, x: Any) -> Any:
        if self.activation == "relu":
            x = self.linear1(x, activation="relu")
        else:
            x = self.linear1(x)
            x = ops.gelu(x) if self.activation == "gelu" else self.activation(x)  # type: ignore[operator]
        return self.linear2(self.dropout(x))

    def _check(self, **inputs: Any) -> None:
        for name, x in inputs.items():
            check_rank(self, x, (2, 3), "2 axes, or 3 with a batch", name)
            check_features(self, x, -1, self.d_model, "d_model", name)
            check_floating(name, x)


class TransformerEncoderLayer(_Layer):
    """Self-attention, then two linear layers for each step; x + block(x) and layer norm about both.

    src (T, N, d_model), (N, T, d_model) with batch_first, or (T, d_model) -> y of the same shape. Masks: see
    MultiheadAttention; True hides. activation: of the feed-forward network, "relu", "gelu" or a function. norm_first: the
    norms come before the blocks, not after the sums. Parameters are torch's: self_attn, linear1, linear2, norm1, norm2.
    """

    norms = 2

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Any:  # fmt: skip
        self._check(src=src)

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        return self._around(2, self._around(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output, then two linear layers for each step.

    tgt (T, N, d_model) and memory (S, N, d_model), or with N first, or without N -> y of tgt's shape. The arguments of
    TransformerEncoderLayer; parameters self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3.
    """

    norms = 3

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None, tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None, tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        self._check(tgt=tgt, memory=memory)
        batch = 0 if self.batch_first else 1
        if len(memory.shape) != len(tgt.shape) or (len(tgt.shape) == 3 and memory.shape[batch] != tgt.shape[batch]):
            raise ValueError(f"memory: expected the batch of tgt {tuple(tgt.shape)}, got shape {tuple(memory.shape)}")

        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def look_up(x: Any) -> Any:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )[0]

        x = self._around(2, self._around(1, tgt, attend), look_up)
        return self._around(3, x, self._feed_forward)


class TransformerEncoder(Module):
    """num_layers copies of an encoder layer, one after another, and a norm behind them if one is given.

    As in torch the copies begin with the same weights. enable_nested_tensor and mask_check are torch's and change nothing:
    at padded steps the output is what the layers give, where torch's fast path may write zeros.
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
        enable_nested_tensor: bool = True, mask_check: bool = True,
    ) -> None:  # fmt: skip
        check_flags(enable_nested_tensor=enable_nested_tensor, mask_check=mask_check)
        self.layers = _copies("encoder_layer", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = _module_or_none("norm", norm)

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Any:  # fmt: skip
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """num_layers copies of a decoder layer, one after another, and a norm behind them if one is given."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies("decoder_layer", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = _module_or_none("norm", norm)

    def forward(
        self, tgt: Any, memory: Any, tgt_mask: Any = None, memory_mask: Any = None, tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder, with torch's arguments, parameters and first values (matrices by xavier_uniform).

    src (S, N, d_model) and tgt (T, N, d_model), with N first for batch_first, or without N -> y of tgt's shape. What comes
    before (embeddings, PositionalEncoding) and after (a Linear) is up to the caller.
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = "relu",
        custom_encoder: Module | None = None, custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        device: str | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        check_sizes(num_encoder_layers=num_encoder_layers, num_decoder_layers=num_decoder_layers)
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        where: dict[str, Any] = {"device": device, "dtype": dtype}

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **where)

        encoder, decoder = (
            _module_or_none(f"custom_{name}", x)
            for name, x in (("encoder", custom_encoder), ("decoder", custom_decoder))
        )
        self.encoder = encoder or TransformerEncoder(
            TransformerEncoderLayer(*options, **where), num_encoder_layers, norm()
        )
        self.decoder = decoder or TransformerDecoder(
            TransformerDecoderLayer(*options, **where), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        for p in self.parameters():
            if len(p.shape) > 1:
                p[...] = init.xavier_uniform(next_key(), p.shape, dtype=p.dtype, xp=namespace(p), device=p.device)

    def forward(
        self, src: Any, tgt: Any, src_mask: Any = None, tgt_mask: Any = None, memory_mask: Any = None,
        src_key_padding_mask: Any = None, tgt_key_padding_mask: Any = None, memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Any:  # fmt: skip
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: str | None = None, dtype: Any = None) -> Any:
        """A mask (sz, sz) of numbers that hides what comes after a step: 0 up to the diagonal, -inf above it."""
        check_sizes(sz=sz)
        full = init.constant(None, (sz, sz), float("-inf"), dtype=dtype, device=device)
        return namespace(full).triu(full, k=1)


def _module_or_none(name: str, x: Any) -> Any:
    if x is not None and not isinstance(x, Module):
        raise TypeError(f"{name}: expected a module or None, got {type(x).__name__}")
    return x


def _copies(name: str, layer: Any, number: int) -> ModuleList:
    check_sizes(num_layers=number)
    if not isinstance(layer, Module):
        raise TypeError(f"{name}: expected a module, got {type(layer).__name__}")
    return ModuleList(copy.deepcopy(layer) for _ in range(number))
