"""Makes statistics-golden.json: statistics of small planes by numpy, scipy and scikit-image, to hold src/metrics against.

    pip install numpy scipy scikit-image && python test/metrics/statistics-golden.py
"""

import base64
import json
import pathlib

import numpy as np
import scipy.ndimage
import skimage.measure

rng = np.random.default_rng(20240611)


def packed(values):
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def contour(f, level, periodic):
    if periodic:
        f = np.pad(f, ((0, 1), (0, 1)), mode="wrap")
    return sum(
        float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in skimage.measure.find_contours(f, level)
    )


def structure_factor(f):
    h, w = f.shape
    power = np.abs(np.fft.fft2(f - f.mean())) ** 2 / (h * w)
    cycles = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :])
    # Half away from zero, as everybody but numpy rounds.
    ring = np.floor(cycles * max(h, w) + 0.5).astype(int)
    k, s = [], []
    for n in range(1, max(h, w) // 2 + 1):
        inside = ring == n
        if inside.any():
            k.append(2 * np.pi * cycles[inside].mean())
            s.append(power[inside].mean())
    k, s = np.array(k), np.array(s)
    return {"k": k.tolist(), "s": s.tolist(), "length": 2 * np.pi * s.sum() / (k * s).sum()}


def two_point(f, periodic):
    """By the definition, pair by pair: no transform."""
    h, w = f.shape
    d = f - f.mean()
    reach = min(h, w) // 2
    total, pairs = np.zeros(reach + 1), np.zeros(reach + 1)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            r = int(np.floor(np.hypot(dy, dx) + 0.5))
            if r > reach:
                continue
            if periodic:
                product = d * np.roll(d, (-dy, -dx), (0, 1))
            else:
                a = d[max(0, -dy) : h - max(0, dy), max(0, -dx) : w - max(0, dx)]
                b = d[max(0, dy) : h - max(0, -dy), max(0, dx) : w - max(0, -dx)]
                product = a * b
            total[r] += product.sum()
            pairs[r] += product.size
    c = total / pairs
    return (c / c[0]).tolist()


def grains(f, threshold, periodic, least=4):
    labels, n = scipy.ndimage.label(f > threshold)
    same = list(range(n + 1))

    def root(i):
        while same[i] != i:
            i = same[i]
        return i

    if periodic:
        for a, b in [*zip(labels[0], labels[-1]), *zip(labels[:, 0], labels[:, -1])]:
            if a and b:
                same[root(a)] = root(b)
    areas = {}
    for label, area in zip(*np.unique(labels[labels > 0], return_counts=True)):
        areas[root(label)] = areas.get(root(label), 0) + int(area)
    kept = [area for area in areas.values() if area >= least]
    return {"count": len(kept), "area": float(np.mean(kept)) if kept else 0.0}


def crps(centre, halves, value):
    """Twice the mean quantile score over the 2J - 1 quantiles."""
    j = len(halves) + 1
    quantiles = [(centre, 0.5)]
    for k, half in enumerate(halves, 1):
        quantiles += [(centre - half, (1 - k / j) / 2), (centre + half, (1 + k / j) / 2)]
    return float(2 * np.mean([((value <= q) - t) * (q - value) for q, t in quantiles]))


def local_rms(f, periodic):
    mode = "wrap" if periodic else "nearest"
    return np.sqrt(scipy.ndimage.uniform_filter(f * f, 3, mode=mode))


def gradient(f, periodic):
    if periodic:
        dy = (np.roll(f, -1, 0) - np.roll(f, 1, 0)) / 2
        dx = (np.roll(f, -1, 1) - np.roll(f, 1, 1)) / 2
    else:
        dy, dx = np.gradient(f)
    return np.hypot(dy, dx)


def short_waves(f):
    h, w = f.shape
    power = np.abs(np.fft.fft2(f - f.mean())) ** 2
    cycles = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :])
    return float(power[cycles > 0.25].sum() / power.sum())


def checkerboard(f, period=4):
    rows, columns = (n // period * period for n in f.shape)
    blocks = f[:rows, :columns].reshape(rows // period, period, columns // period, period)
    return float(blocks.mean((0, 2)).std())


cases = []
for name, shape, sigma in [("square", (32, 32), 2), ("wide", (15, 24), 1.5), ("tall, rough", (21, 9), 0.6)]:
    f = scipy.ndimage.gaussian_filter(rng.random(shape), sigma, mode="wrap")
    f = ((f - f.min()) / (f.max() - f.min())).astype("<f4").astype(float)
    entry = {"name": name, "shape": shape, "plane": packed(f)}
    entry["fraction"] = float((f > 0.5).mean())
    entry["mean"] = float(f.mean())
    entry["structure"] = structure_factor(f)
    entry["shortWaves"] = short_waves(f)
    entry["checkerboard"] = checkerboard(f)
    for boundary, periodic in [("periodic", True), ("open", False)]:
        entry[boundary] = {
            "contour": contour(f, 0.5, periodic),
            "twoPoint": two_point(f, periodic),
            "grains": grains(f, 0.5, periodic),
            "gradient": packed(gradient(f, periodic)),
            "localRms": packed(local_rms(f, periodic)),
        }
    cases.append(entry)

scores = []
for _ in range(6):
    centre, value = rng.normal(0, 1, 2)
    halves = np.sort(rng.random(9)).tolist()
    scores.append(
        {"centre": centre, "halves": halves, "value": value, "crps": crps(centre, halves, value)}
    )

versions = f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-image {skimage.__version__}"
out = pathlib.Path(__file__).with_name("statistics-golden.json")
out.write_text(json.dumps({"made_by": versions, "cases": cases, "scores": scores}, indent=2) + "\n")
print(f"{len(cases)} planes in {out}")
