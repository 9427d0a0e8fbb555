"""A small live simulation for the examples beside this file: Cahn-Hilliard, semi-implicit in Fourier space."""

import numpy as np


def frames(count, size=64, steps=40, dt=0.1, seed=0):
    """Yields (time, concentration [size, size], about -1 to 1)."""
    c = 0.1 * np.random.default_rng(seed).standard_normal((size, size))
    k = 2 * np.pi * np.fft.fftfreq(size)
    k2 = k[:, None] ** 2 + k[None, :] ** 2
    for n in range(count):
        for _ in range(steps):
            change = np.fft.fft2(c**3 - c)
            c = np.fft.ifft2((np.fft.fft2(c) - dt * k2 * change) / (1 + dt * k2**2)).real
        yield (n + 1) * steps * dt, c.astype(np.float32)
