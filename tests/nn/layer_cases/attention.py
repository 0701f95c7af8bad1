"""Multi-head attention with its masks, and the transformers."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Case, Part, case

D, H, T, S, N = 6, 2, 4, 5, 3  # d_model, heads, steps, steps of the memory, batch
PADDED = np.array([[False] * T, [False, False, True, True], [False, True, False, True]])
PADDED_S = np.array([[False] * S, [False] * 2 + [True] * 3, [True] + [False] * 4])
AFTER = np.triu(np.ones((T, T), bool), 1)
ADDED = np.where(AFTER, -np.inf, np.random.default_rng(3).normal(size=(T, T)).astype(np.float32).astype(float))
EVERY = np.random.default_rng(4).random((N * H, T, S)) < 0.3


def mha(options: dict[str, Any] | None = None, call: dict[str, Any] | None = None, **special: Any) -> Case:
    special.setdefault("inputs", ((T, N, D), (S, N, D), (S, N, D)))
    return case("MultiheadAttention", D, H, call=call or {}, **(options or {}), **special)


CROSS, FIRST, BARE = ((T, N, D), (S, N, 3), (S, N, 7)), ((N, T, D), (N, S, D), (N, S, D)), ((T, D), (S, D), (S, D))
SELF: dict[str, Any] = {"inputs": ((T, N, D),), "same": True}
ATTENTION = [
    mha(),
    mha(**SELF),
    mha({"bias": False}, **SELF),
    mha({"batch_first": True}, {"average_attn_weights": False}, inputs=FIRST),
    mha({"batch_first": True}, {"need_weights": False}, inputs=FIRST),
    mha({"batch_first": True}, inputs=BARE),
    mha({}, {"key_padding_mask": PADDED_S[1], "attn_mask": EVERY[:H]}, inputs=BARE),
    mha({"kdim": 3, "vdim": 7}, inputs=CROSS),
    mha({"kdim": 3, "vdim": 7, "bias": False, "add_bias_kv": True}, {"need_weights": False}, inputs=CROSS),
    mha({"add_bias_kv": True}, {"key_padding_mask": PADDED_S, "attn_mask": EVERY}),
    mha({"add_zero_attn": True}, {"key_padding_mask": PADDED_S}),
    mha({"add_zero_attn": True, "add_bias_kv": True}, {"attn_mask": ADDED}, **SELF),
    mha({"add_zero_attn": True}, {"attn_mask": AFTER, "is_causal": True, "key_padding_mask": PADDED}, **SELF),
    mha({"add_zero_attn": True}, {"attn_mask": ADDED, "is_causal": True}, **SELF),
    mha({}, {"attn_mask": EVERY, "need_weights": False}),
    mha({}, {"attn_mask": AFTER, "need_weights": False, "is_causal": True}, **SELF),
    mha({}, {"attn_mask": AFTER, "key_padding_mask": np.where(PADDED, -np.inf, 0.0)}, **SELF),
    mha({}, {"attn_mask": ADDED, "key_padding_mask": np.where(PADDED, -np.inf, 0.5), "need_weights": False}, **SELF),
]
SRC, BOTH = ((T, N, D),), ((T, N, D), (S, N, D))
MASKS = {"tgt_mask": AFTER, "tgt_key_padding_mask": PADDED, "memory_key_padding_mask": PADDED_S}
LAYER = (D, H, 8, 0.0)
ENCODER, DECODER = Part("TransformerEncoderLayer", *LAYER), Part("TransformerDecoderLayer", *LAYER)
NORM = Part("LayerNorm", D)
LAYERS = [
    case("TransformerEncoderLayer", *LAYER, inputs=SRC),
    case("TransformerEncoderLayer", *LAYER, inputs=((N, T, D),), batch_first=True, norm_first=True),
    case("TransformerEncoderLayer", *LAYER, inputs=SRC, activation="gelu", bias=False, layer_norm_eps=0.1),
    case("TransformerEncoderLayer", *LAYER, inputs=((T, D),), call={"src_mask": ADDED}),
    case("TransformerEncoderLayer", *LAYER, inputs=SRC,
         call={"src_key_padding_mask": PADDED, "src_mask": AFTER, "is_causal": True}),
    case("TransformerDecoderLayer", *LAYER, inputs=BOTH),
    case("TransformerDecoderLayer", *LAYER, inputs=BOTH, norm_first=True, activation="gelu", call=MASKS),
    case("TransformerDecoderLayer", *LAYER, inputs=((N, T, D), (N, S, D)), batch_first=True, bias=False,
         call={"memory_mask": EVERY}),
    case("TransformerDecoderLayer", *LAYER, inputs=BOTH, layer_norm_eps=0.1,
         call={"tgt_mask": AFTER, "tgt_is_causal": True}),
]  # fmt: skip
STACKS = [
    case("TransformerEncoder", ENCODER, 2, inputs=SRC),
    case("TransformerEncoder", ENCODER, 2, NORM, mask_check=False, inputs=SRC, call={"mask": AFTER, "is_causal": True}),
    case("TransformerEncoder", ENCODER, num_layers=1, enable_nested_tensor=False, inputs=SRC,
         call={"src_key_padding_mask": PADDED}),
    case("TransformerDecoder", DECODER, 2, inputs=BOTH),
    case("TransformerDecoder", DECODER, 1, norm=NORM, inputs=BOTH, call=MASKS),
    case("Transformer", D, H, 2, 2, 8, 0.0, inputs=((S, N, D), (T, N, D))),
    case("Transformer", D, H, 1, 2, 8, 0.0, inputs=((N, S, D), (N, T, D)), batch_first=True, norm_first=True,
         activation="gelu", call={**MASKS, "src_key_padding_mask": PADDED_S, "src_mask": np.zeros((S, S)), "memory_mask": EVERY}),
    case("Transformer", D, H, 1, 1, 8, 0.0, bias=False, layer_norm_eps=0.1, inputs=((S, D), (T, D))),
    case("Transformer", D, H, custom_encoder=Part("TransformerEncoder", ENCODER, 1), inputs=((S, N, D), (T, N, D)),
         custom_decoder=Part("TransformerDecoder", DECODER, 1, NORM)),
]  # fmt: skip


def evaluated(given: Case) -> Case:
    """In evaluation a dropout is left out, so that there may be one."""
    options = {"dropout": 0.5} if given.kind == "MultiheadAttention" else {}
    args = (*given.args[:-1], 0.5) if given.args[-1] == 0.0 else given.args
    return Case(
        given.kind, args, {**given.options, **options}, given.inputs, given.call, same=given.same, training=False
    )


CASES = [*ATTENTION, *LAYERS, *STACKS, *map(evaluated, [*ATTENTION, *LAYERS, *STACKS])]
