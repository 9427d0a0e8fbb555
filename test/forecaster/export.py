"""Checks exported files as another program would: python export.py FOLDER (onnx, onnxruntime, numpy).

FOLDER/frames.npy has the frames of the context, [context, H, W, C], and FOLDER/forecast.npy what mesocast made of them.
Prints one JSON object: the largest differences of the roll-out, and of the stages called one by one.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

folder = sys.argv[1]
with open(f"{folder}/manifest.json") as file:
    manifest = json.load(file)

sessions = {}
for entry in manifest["files"]:
    path = f"{folder}/{entry['file']}"
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert {node.domain for node in model.graph.node} <= {""}, "operators beyond the standard"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for declared, found in ((entry["inputs"], session.get_inputs()), (entry["outputs"], session.get_outputs())):
        assert [(v["name"], v["shape"]) for v in declared] == [(v.name, v.shape) for v in found], path
    assert session.get_modelmeta().custom_metadata_map["hash"] == manifest["forecaster"]["hash"]
    sessions[entry["file"]] = session


def run(name, **inputs):
    session = sessions[f"{name}.onnx"]
    return session.run(None, inputs)


frames = np.load(f"{folder}/frames.npy").transpose(0, 3, 1, 2)[None]
expected = np.load(f"{folder}/forecast.npy").transpose(0, 3, 1, 2)[None]
(rolled,) = run("rollout", frames=frames)

states = {
    v["name"]: np.zeros(v["shape"], np.float32) for v in manifest["files"][1]["inputs"] if v["name"].startswith("state")
}


def step(frame, previous):
    global states, skips
    latent, *found = run("encoder", frame=frame, previous=previous)
    skips = {f"skip_{k}": skip for k, skip in enumerate(found)}
    following, *next_states = run("predictor", latent=latent, **states)
    states = dict(zip(states, next_states))
    return following


previous = frames[:, 0]
for t in range(manifest["context"]):
    frame = frames[:, t]
    latent = step(frame, previous)
    before, previous = previous, frame
stepped = []
for lead in range(manifest["leads"]):
    (following,) = run("decoder", latent=latent, **skips, frame=previous, previous=before)
    following = following.clip(*manifest["limits"])
    stepped.append(following)
    before, previous = previous, following
    latent = step(previous, before)

worst = {
    "rollout": float(np.abs(rolled - expected).max()),
    "stages": float(np.abs(np.stack(stepped, 1) - expected).max()),
}
print(json.dumps(worst))
