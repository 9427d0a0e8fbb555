"""Makes golden.json: metrics of small random frames by scikit-image and numpy, to hold src/metrics against.

    pip install numpy scikit-image && python test/metrics/golden.py
"""

import base64
import json
import pathlib

import numpy as np
import skimage
from skimage.metrics import structural_similarity

def packed(values):
    """float32, little-endian, base64: the file stays small."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


rng = np.random.default_rng(20240607)
cases = []
for name, shape, noise in [
    ("square", (16, 16, 1), 0.1),
    ("wide", (9, 23, 1), 0.3),
    ("tall", (21, 7, 1), 0.05),
    ("colour", (11, 13, 3), 0.2),
    ("low", (5, 12, 1), 0.2),
    ("narrow and even", (10, 4, 2), 0.2),
    ("flat against noise", (12, 12, 1), None),
]:
    # Values exact in float32, so that both sides start from the same numbers.
    exact = lambda values: np.round(np.clip(values, 0, 1) * 1024) / 1024
    truth = exact(rng.random(shape) * np.linspace(0.2, 1, shape[1])[None, :, None])
    frame = exact(truth + rng.normal(0, noise, shape)) if noise else np.full(shape, 0.5)
    previous = exact(truth + rng.normal(0, 0.1, shape))
    least = min(shape[0], shape[1], 7)
    window = least if least % 2 else least - 1
    cases.append(
        {
            "name": name,
            "shape": shape,
            "a": packed(truth),
            "b": packed(frame),
            "previous": packed(previous),
            "rmse": float(np.sqrt(np.mean((truth - frame) ** 2))),
            # `a` is the last frame, `previous` the one before, three steps ahead.
            "linear3": packed(np.clip(truth + 3 * (truth - previous), 0, 1)),
            "ssim": float(structural_similarity(truth, frame, data_range=1, win_size=window, channel_axis=-1)),
        }
    )
out = pathlib.Path(__file__).with_name("golden.json")
out.write_text(json.dumps({"made_by": f"scikit-image {skimage.__version__}, numpy {np.__version__}", "cases": cases}, indent=2) + "\n")
print(f"{len(cases)} cases in {out}")
