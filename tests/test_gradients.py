"""value_and_grad, grad, vjp, checkpoint, stop_gradient, custom_vjp: against numbers, nested, in threads, without leaks."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import namedtuple
from typing import Any

import array_api_compat.numpy as anp
import numpy as np
import pytest

from xpnn.gradients import checkpoint, custom_vjp, grad, stop_gradient, value_and_grad, vjp
from xpnn.namespace import Array, namespace
from xpnn.namespace.array import TracedArrayError

from .conftest import Library


def total(x: Any) -> Any:
    return namespace(x).sum(x)


def test_value_and_gradient_of_a_known_function(lib: Library) -> None:
    x, w = lib.asarray([1.0, 2.0, 3.0]), lib.asarray([0.5, -1.0, 2.0])
    value, (dx, dw) = value_and_grad(lambda x, w: total(x * x * w), argnums=(0, 1))(x, w)
    assert lib.to_numpy(value) == 0.5 - 4 + 18
    np.testing.assert_array_equal(lib.to_numpy(dx), [1.0, -4.0, 12.0])
    np.testing.assert_array_equal(lib.to_numpy(dw), [1.0, 4.0, 9.0])
    assert type(dx) is type(x) and type(value) is not Array


def test_trees_of_arrays(lib: Library) -> None:
    Pair = namedtuple("Pair", "a b")
    params = {
        "w": lib.asarray([1.0, 2.0]),
        "inner": [lib.asarray(3.0), (lib.asarray([4.0]), "name")],
        "n": lib.asarray([1, 2]),
    }
    grads = grad(lambda p: total(p["w"]) * p["inner"][0] * total(p["inner"][1][0]))(params)
    np.testing.assert_array_equal(lib.to_numpy(grads["w"]), [12.0, 12.0])
    assert lib.to_numpy(grads["inner"][0]) == 12.0
    assert lib.to_numpy(grads["inner"][1][0]) == [9.0]
    assert grads["n"] is None and grads["inner"][1][1] is None
    pair = grad(lambda p: total(p.a * p.b))(Pair(lib.asarray([2.0]), lib.asarray([5.0])))
    assert isinstance(pair, Pair) and lib.to_numpy(pair.a) == [5.0]


def test_the_same_array_twice_is_one_leaf() -> None:
    w = np.array([2.0, 3.0])
    grads = grad(lambda p: total(p["a"] * p["b"]))({"a": w, "b": w})
    np.testing.assert_array_equal(grads["a"], 2 * w)
    np.testing.assert_array_equal(grads["b"], 2 * w)
    assert grads["a"] is not grads["b"]


def test_the_same_array_as_two_arguments_is_two_leaves() -> None:
    x = np.array([2.0, 3.0])
    (da, db) = grad(lambda a, b: total(a * a * b), argnums=(0, 1))(x, x)
    np.testing.assert_array_equal(da, 2 * x * x)
    np.testing.assert_array_equal(db, x * x)
    _, pullback = vjp(lambda a, b: a * a * b, x, x)
    np.testing.assert_array_equal(pullback(np.ones(2))[1], x * x)


def test_tied_weights_under_checkpoint_count_once() -> None:
    w = np.array([2.0, 3.0])
    tied = {"a": w, "b": w}
    f = lambda p: total(checkpoint(lambda p: p["a"] * p["a"] * p["b"])(p))  # noqa: E731
    np.testing.assert_array_equal(grad(f)(tied)["a"], 3 * w * w)


def test_has_aux_returns_raw_arrays(lib: Library) -> None:
    (_, aux), g = value_and_grad(lambda x: (total(x), {"y": 2 * x, "n": 3}), has_aux=True)(lib.asarray([1.0, 2.0]))
    np.testing.assert_array_equal(lib.to_numpy(aux["y"]), [2.0, 4.0])
    assert aux["n"] == 3 and type(aux["y"]) is not Array
    np.testing.assert_array_equal(lib.to_numpy(g), [1.0, 1.0])


def test_second_derivative(lib: Library) -> None:
    x = lib.asarray([1.0, 2.0, 3.0])
    hessian_times_one = grad(lambda x: total(grad(lambda y: total(y**3))(x)))(x)
    np.testing.assert_allclose(lib.to_numpy(hessian_times_one), [6.0, 12.0, 18.0])


def test_third_derivative_of_sine() -> None:
    f = lambda x: total(namespace(x).sin(x))  # noqa: E731
    for _ in range(3):
        f = (lambda inner: lambda x: total(grad(inner)(x)))(f)
    x = np.array([0.3, 1.1])
    np.testing.assert_allclose(f(x), -np.cos(x).sum(), rtol=1e-12)


def test_nested_traces_are_not_confused(lib: Library) -> None:
    """d/dx [x * d/dy (x*y)] is 2x; an engine that mixes the traces gives x, or 3x."""
    x = lib.asarray([1.0, 2.0, 3.0])
    outer = grad(lambda x: total(x * grad(lambda y: total(x * y))(x)))(x)
    np.testing.assert_array_equal(lib.to_numpy(outer), 2 * lib.to_numpy(x))
    other = grad(lambda x: total(x * grad(lambda y: total(x * y))(2 * x)))(x)
    np.testing.assert_array_equal(lib.to_numpy(other), 2 * lib.to_numpy(x))
    shadow = grad(lambda x: total(x * grad(lambda y: total(y * y * stop_gradient(x)))(x)))(x)
    np.testing.assert_array_equal(lib.to_numpy(shadow), 4 * lib.to_numpy(x) ** 2)


def test_an_inner_trace_that_depends_on_nothing_outside_is_a_constant() -> None:
    x, c = np.array([2.0]), np.array([5.0])
    seen = []

    def f(x: Any) -> Any:
        value, g = value_and_grad(lambda c: total(c * c))(c)
        seen.append((type(value), type(g)))
        return total(x * g)

    np.testing.assert_array_equal(grad(f)(x), [10.0])
    assert Array not in seen[0]


def test_an_inner_function_that_returns_an_outer_traced_array() -> None:
    value = grad(lambda y: value_and_grad(lambda _: y)(np.ones(()))[0] * y)(np.asarray(3.0))
    assert value == 6.0


def test_gradients_share_no_memory() -> None:
    x, y = np.ones(3), np.ones(3)
    gx, gy = grad(lambda x, y: total(x + y), argnums=(0, 1))(x, y)
    gx += 1
    np.testing.assert_array_equal(gy, 1.0)
    assert gx.flags.writeable and gx.flags.owndata
    w = np.ones((2, 3))
    g = grad(lambda w: total(w.T))(w)
    g[0, 0] = 7
    assert g.flags.owndata and grad(lambda x: x * x)(np.array(3.0)).shape == ()


def test_a_result_that_does_not_depend_on_the_argument(lib: Library) -> None:
    x = lib.asarray([1.0, 2.0])
    value, g = value_and_grad(lambda x: lib.asarray(3.0))(x)
    assert lib.to_numpy(value) == 3.0
    np.testing.assert_array_equal(lib.to_numpy(g), [0.0, 0.0])


@pytest.mark.parametrize(
    ("f", "x", "error", "words"),
    [
        (lambda x: x, np.ones(2), ValueError, "shape (2,)"),
        (lambda x: 3.0, np.ones(2), TypeError, "returned float"),
        (lambda x: namespace(x).argmax(x), np.ones(2), ValueError, "dtype int64"),
        (lambda x: x, 3.0, TypeError, "argument 0"),
        (lambda x: x, np.array([1, 2]), TypeError, "argument 0"),
        (lambda x: float(total(x)), np.ones(2), TracedArrayError, "stop_gradient"),
        (lambda x: np.exp(x), np.ones(2), TypeError, "ufunc"),
        (lambda x: namespace(x).einsum("i,i", x, x), np.ones(2), AttributeError, "no gradient rule for 'einsum'"),
    ],
)
def test_errors_in_one_line(f: Any, x: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        value_and_grad(f)(x)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_argnums_out_of_range() -> None:
    with pytest.raises(TypeError, match="positional argument 1, but got 1"):
        grad(lambda x: total(x), argnums=1)(np.ones(2))
    for argnums in ((0, 0), -1, (0, -1)):
        with pytest.raises(ValueError, match="argnums: expected different positions from 0 on"):
            grad(total, argnums=argnums)


def test_vjp_of_a_tree_can_be_called_again(lib: Library) -> None:
    a, b = lib.asarray([1.0, 2.0]), lib.asarray([3.0, 4.0])
    out, pullback = vjp(lambda a, b: {"p": a * b, "s": (a + b,)}, a, b)
    np.testing.assert_array_equal(lib.to_numpy(out["p"]), [3.0, 8.0])
    for scale in (1.0, 2.0):
        da, db = pullback({"p": lib.asarray([scale, 0.0]), "s": (lib.asarray([0.0, scale]),)})
        np.testing.assert_array_equal(lib.to_numpy(da), [3 * scale, scale])
        np.testing.assert_array_equal(lib.to_numpy(db), [scale, scale])
    with pytest.raises(ValueError, match="shape"):
        pullback({"p": lib.asarray([1.0]), "s": (a,)})


def test_a_pullback_can_be_differentiated() -> None:
    """The pullback of x³ at x is g -> 3x²g, linear in g."""
    x = np.array([1.0, 2.0])
    _, pullback = vjp(lambda x: x**3, x)
    np.testing.assert_allclose(grad(lambda g: total(pullback(g)[0]))(np.ones(2)), 3 * x**2)


def test_complex_gradients_follow_torch() -> None:
    z = np.array([1.0 + 2.0j, -0.5 + 1.0j])
    g = grad(lambda z: namespace(z).sum(namespace(z).abs(z) ** 2))(z)
    np.testing.assert_allclose(g, 2 * z)  # d|z|²/da + i d|z|²/db
    w = np.array([0.3 - 1.0j, 2.0 + 0.0j])
    g = grad(lambda z: namespace(z).sum(namespace(z).real(z * w)))(z)
    np.testing.assert_allclose(g, np.conj(w))


def test_checkpoint_gives_the_same_gradient_and_runs_twice(lib: Library) -> None:
    calls = []

    def f(x: Any, w: Any) -> Any:
        calls.append(type(x))
        return {"y": namespace(x).tanh(x * w), "z": (x + w,)}

    def loss(x: Any, w: Any, wrap: Any) -> Any:
        out = wrap(f)(x, w)
        return total(out["y"] * out["z"][0])

    x, w = lib.asarray([0.3, -1.0]), lib.asarray([2.0, 0.7])
    expected = grad(lambda x, w: loss(x, w, lambda f: f), argnums=(0, 1))(x, w)
    calls.clear()
    found = grad(lambda x, w: loss(x, w, checkpoint), argnums=(0, 1))(x, w)
    assert len(calls) == 2 and calls[0] is type(x) and calls[1] is Array
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(lib.to_numpy(a), lib.to_numpy(b))


def test_checkpoint_in_second_order_and_untraced() -> None:
    cube = checkpoint(lambda x: x**3)
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(cube(x), x**3)
    np.testing.assert_allclose(grad(lambda x: total(grad(lambda y: total(cube(y)))(x)))(x), 6 * x)


def test_checkpoint_refuses_hidden_traced_arrays() -> None:
    with pytest.raises(TypeError, match="not among its arguments"):
        grad(lambda x: total(checkpoint(lambda y: y * x)(2 * x)))(np.ones(2))


def test_checkpoint_replays_random_numbers() -> None:
    from xpnn import random

    def noisy(x: Any) -> Any:
        return x * random.uniform(random.next_key(), (4,), dtype="float64")

    random.seed(5)
    expected = grad(lambda x: total(noisy(x)))(np.ones(4))
    random.seed(5)
    found = grad(lambda x: total(checkpoint(noisy)(x)))(np.ones(4))
    np.testing.assert_array_equal(found, expected)
    after = random.get_state()
    random.seed(5)
    random.next_key()
    assert after == random.get_state()


def test_custom_vjp_is_used_and_second_order_follows() -> None:
    square = custom_vjp(lambda x: (x * x, x), lambda x, g: (10 * x * g,))  # wrong by a factor of 5 on purpose
    x = np.array([1.0, 3.0])
    np.testing.assert_array_equal(square(x), x * x)
    np.testing.assert_array_equal(grad(lambda x: total(square(x)))(x), 10 * x)
    np.testing.assert_array_equal(grad(lambda x: total(grad(lambda y: total(square(y)))(x)))(x), [10.0, 10.0])
    short = custom_vjp(lambda x, y: (x * y, None), lambda _, g: (g,))
    with pytest.raises(ValueError, match="1 gradients for 2 arguments"):
        grad(lambda x: total(short(x, x)))(x)


def test_stop_gradient() -> None:
    x = np.array([2.0, 3.0])
    np.testing.assert_array_equal(grad(lambda x: total(x * stop_gradient(x)))(x), x)
    assert stop_gradient(x) is x


def test_threads_do_not_see_each_other() -> None:
    barrier = threading.Barrier(4)
    results: dict[int, Any] = {}

    def work(k: int) -> None:
        x = np.full(5, float(k + 1))
        for _ in range(50):
            barrier.wait()
            results[k] = grad(lambda x: total(x * grad(lambda y: total(x * y))(x)))(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_array_equal(results[k], np.full(5, 2.0 * (k + 1)))


def test_nothing_leaks_with_the_collector_off() -> None:
    """Boxes, nodes and arrays of a step are freed by reference counting alone: no cycles keep activations alive."""
    w = np.ones((20, 20))
    alive: list[weakref.ref[Any]] = []

    class Tracked(np.ndarray):  # plain arrays take no weak references
        pass

    def f(w: Any) -> Any:
        y = w
        for _ in range(3):
            hidden = np.ones((20, 20)).view(Tracked)
            alive.append(weakref.ref(hidden))
            y = namespace(w).tanh(y * w) * hidden
        return total(checkpoint(lambda a: a * a)(y))

    gc.collect()
    gc.disable()
    try:
        value_and_grad(f)(w)
        grad(lambda w: total(grad(f)(w)))(w)
        assert len(alive) == 6 and all(ref() is None for ref in alive)
    finally:
        gc.enable()


def test_memory_is_released_while_the_sweep_goes_on() -> None:
    """A kept activation is gone once its node was visited, though the node itself is still reachable."""
    from xpnn.tape import Node

    nodes: list[Node] = []

    def f(x: Any) -> Any:
        y = namespace(x).tanh(x)
        nodes.append(y._node)
        return total(y * y)

    value_and_grad(f)(np.ones(3))
    assert nodes[0].out is None and nodes[0].args == ()


def test_a_traced_array_that_escaped_says_so() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x * x)
        return total(kept[0] * x)

    grad(f)(np.ones(2))
    with pytest.raises(RuntimeError, match="after its gradients had been taken"):
        grad(lambda y: total(y * kept[0]) + total(kept[0]))(np.ones(2))


def test_zero_dimensional_and_empty_arrays(lib: Library) -> None:
    assert lib.to_numpy(grad(lambda x: x * x)(lib.asarray(3.0))) == 6.0
    g = grad(lambda x: total(x * x))(lib.asarray(np.zeros((0, 3))))
    assert g.shape == (0, 3)


def test_float32_stays_float32() -> None:
    x = np.ones(3, np.float32)
    value, g = value_and_grad(lambda x: anp.mean(np.ones(1)) * 0 + total(x * 0.5 + 1))(x)
    assert g.dtype == np.float32
    value, g = value_and_grad(lambda x: total(x * 0.5 + 1))(x)
    assert g.dtype == np.float32 and value.dtype == np.float32
