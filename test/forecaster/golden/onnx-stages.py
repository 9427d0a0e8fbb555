"""Stages from .onnx files as PyTorch writes them, with PyTorch's own roll-out: python onnx-stages.py (torch, onnx, onnxscript, safetensors).

The modules are those of examples/onnx/export.py, smaller. Each file comes out of another exporter: the encoder keeps its
weights in a file beside it (PyTorch's default), the decoder is written by the older, TorchScript-based one.
control-flow.onnx is a decoder that decides by an If.
"""

import json
import os
import shutil
import sys

import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../../../examples/onnx"))
import export  # noqa: E402

export.LATENT, export.HIDDEN, export.WIDTH = 4, 3, 2
CONTEXT, LEADS = 4, 3
out = os.path.join(here, "onnx-stages")
shutil.rmtree(out, ignore_errors=True)
os.makedirs(out)

torch.manual_seed(7)
encoder, predictor, decoder = export.Encoder(), export.Predictor(), export.Decoder()
with torch.no_grad():
    decoder.change.weight *= 2

frame, previous, latent = torch.rand(2, 1, 12, 16), torch.rand(2, 1, 12, 16), torch.rand(2, 4, 6, 8)
state, skip = torch.rand(2, 3, 6, 8), torch.rand(2, 2, 12, 16)
export.export(encoder, {"frame": frame, "previous": previous}, ["latent", "skip_0"], f"{out}/encoder.onnx")
export.export(
    predictor,
    {"latent": latent, "state_0": state},
    ["next_latent", "next_state_0"],
    f"{out}/predictor.onnx",
    external_data=False,
    opset_version=18,
)
open_axes = {name: {0: "n", 2: "h", 3: "w"} for name in ("latent", "skip_0", "frame")}
export.export(
    decoder,
    {"latent": state, "skip_0": skip, "frame": frame},
    ["next_frame"],
    f"{out}/decoder.onnx",
    dynamo=False,
    dynamic_shapes=None,
    dynamic_axes=open_axes,
    opset_version=17,
)

# PyTorch writes stack traces into its files, with the paths of this machine.
for stage in ("encoder", "predictor", "decoder"):
    model = onnx.load(f"{out}/{stage}.onnx", load_external_data=False)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    with open(f"{out}/{stage}.onnx", "wb") as file:
        file.write(model.SerializeToString())

# A decoder that adds the first channel of an enlarged latent where its sum is positive, else its negative.
def branch(name, op):
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node(op, ["change"], [name])], name, [], [value])

picture = helper.make_tensor_value_info("frame", TensorProto.FLOAT, ["n", 1, "H", "W"])
graph = helper.make_graph(
    [
        helper.make_node("Gather", ["latent", "first"], ["one"], axis=1),
        helper.make_node("Resize", ["one", "", "scales"], ["change"], mode="nearest"),
        helper.make_node("ReduceSum", ["change"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["chosen"], then_branch=branch("same", "Identity"), else_branch=branch("other", "Neg")),
        helper.make_node("Add", ["frame", "chosen"], ["next_frame"]),
    ],
    "control-flow",
    [helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["n", 3, "h", "w"]), picture],
    [helper.make_tensor_value_info("next_frame", TensorProto.FLOAT, ["n", 1, "H", "W"])],
    [
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, 2]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0]),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, f"{out}/control-flow.onnx")

# PyTorch's own forecast, frame by frame, as docs/onnx.md says: two series of frames.
frames = torch.rand(2, CONTEXT, 1, 12, 16)
with torch.no_grad():
    state, previous = torch.zeros(2, 3, 6, 8), frames[:, 0]
    for t in range(CONTEXT):
        latent, skip = encoder(frames[:, t], previous)
        expected, state = predictor(latent, state)
        before, previous = previous, frames[:, t]
    forecast = []
    for lead in range(LEADS):
        following = decoder(expected, skip, previous).clip(-0.5, 1.5)
        forecast.append(following)
        before, previous = previous, following
        latent, skip = encoder(previous, before)
        expected, state = predictor(latent, state)
settings = {"format": 1, "name": "from-pytorch", "context": CONTEXT}
settings.update({stage: {"name": f"{stage}.onnx"} for stage in ("encoder", "predictor", "decoder")})
with open(f"{out}/forecaster.json", "w") as file:
    file.write(json.dumps(settings, indent=2) + "\n")
save_file({"frames": frames, "forecast": torch.stack(forecast, 1)}, f"{out}/roll-out.safetensors")
