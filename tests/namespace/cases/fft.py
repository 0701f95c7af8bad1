"""Calls of Fourier transforms."""

from __future__ import annotations

from tests.namespace.cases.call import Call, call, r, z

_NORMS = ("backward", "ortho", "forward")

FFT: dict[str, list[Call]] = {
    **{
        f"fft.{name}": [
            call(z(5)),
            *(call(z(4), norm=norm) for norm in _NORMS),
            call(z(2, 5), n=3),
            call(z(2, 5), n=8),
            call(z(4, 3), axis=0),
            call(r(2, 4), only="numpy"),
        ]
        for name in ("fft", "ifft")
    },
    **{
        f"fft.{name}": [
            call(z(2, 3, 4)),
            *(call(z(2, 3), norm=norm) for norm in _NORMS),
            call(z(3, 4), s=(2, 6), axes=(0, 1)),
            call(z(2, 3, 4), axes=(2, 0)),
            call(r(3, 4), only="numpy"),
        ]
        for name in ("fftn", "ifftn")
    },
    **{
        f"fft.{name}": [
            *(call(r(n)) for n in (1, 2, 5, 6)),
            *(call(r(4), norm=norm) for norm in _NORMS),
            call(r(2, 5), n=3),
            call(r(2, 5), n=8),
            call(r(4, 3), axis=0),
        ]
        for name in ("rfft", "ihfft")
    },
    **{
        f"fft.{name}": [
            *(call(z(3), n=n) for n in (None, 1, 2, 3, 4, 5, 8)),
            *(call(z(3), norm=norm) for norm in _NORMS),
            call(z(2, 5)),
            call(z(4, 3), axis=0),
        ]
        for name in ("irfft", "hfft")
    },
    "fft.rfftn": [
        call(r(2, 3, 4)),
        *(call(r(3, 5), norm=norm) for norm in _NORMS),
        call(r(3, 4), s=(2, 6), axes=(0, 1)),
        call(r(2, 3, 4), axes=(2, 0)),
        call(r(4)),
    ],
    "fft.irfftn": [
        call(z(2, 3, 4)),
        *(call(z(3, 3), norm=norm) for norm in _NORMS),
        call(z(3, 4), s=(2, 5), axes=(0, 1)),
        call(z(2, 3, 4), axes=(2, 0)),
        call(z(4)),
    ],
    "fft.fftshift": [call(r(2, 5)), call(z(2, 5), axes=1), call(r(2, 5), axes=(0, -1))],
    "fft.ifftshift": [call(r(2, 5)), call(z(2, 5), axes=1), call(r(2, 5), axes=(0, -1))],
}
