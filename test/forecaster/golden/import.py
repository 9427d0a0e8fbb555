"""Weights as PyTorch has them, and PyTorch's own roll-out with them: python import.py (torch, safetensors).

The network is mesocast's conv / conv_lstm / conv, written as PyTorch people do: names of its own, filters [O, I, k, k],
gates in torch.nn.LSTM's order i, f, g, o, from two convolutions with a bias each; a few dtypes, and a counter.
"""

import json
import os

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

CHANNELS, CONTEXT, LEADS = 4, 4, 3
out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "import")
os.makedirs(out, exist_ok=True)


def conv(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="replicate")


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.ModuleList([conv(2, CHANNELS, 2), conv(CHANNELS, CHANNELS, 2)])
        self.from_input = conv(CHANNELS, 4 * CHANNELS)
        self.from_hidden = conv(CHANNELS, 4 * CHANNELS)
        self.decode = nn.ModuleList([conv(2 * CHANNELS, CHANNELS), conv(CHANNELS, 4)])
        self.register_buffer("steps", torch.tensor(1000))

    def step(self, frame, previous, hidden, cell):
        skip = F.leaky_relu(self.encode[0](torch.cat([frame, 4 * (frame - previous)], 1)), 0.2)
        latent = F.leaky_relu(self.encode[1](skip), 0.2)
        i, f, g, o = (self.from_input(latent) + self.from_hidden(hidden)).chunk(4, 1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell, skip

    def following(self, hidden, skip, frame):
        joined = torch.cat([F.interpolate(hidden, scale_factor=2), skip], 1)
        return frame + F.pixel_shuffle(self.decode[1](F.leaky_relu(self.decode[0](joined), 0.2)), 2)


torch.manual_seed(11)
network = Network()
dtypes = {"encode.0.weight": torch.float16, "encode.1.weight": torch.bfloat16, "from_hidden.weight": torch.float64}
weights = {name: value.to(dtypes.get(name, value.dtype)) for name, value in network.state_dict().items()}
network.load_state_dict({name: value.to(network.state_dict()[name].dtype) for name, value in weights.items()})
save_file(weights, f"{out}/weights.safetensors")

names = {
    "encoder.half": "encode.0",
    "encoder.quarter": "encode.1",
    "decoder.half": "decode.0",
    "decoder.frame": "decode.1",
}
weight_map = {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in names.items() for kind in ("weight", "bias")}
weight_map["predictor.layer0.weight"] = {
    "of": {"inputs": ["from_input.weight", "from_hidden.weight"]},
    "gates": "ifgo",
}
weight_map["predictor.layer0.bias"] = {"of": {"sum": ["from_input.bias", "from_hidden.bias"]}, "gates": "ifgo"}
weight_map["predictor.layer0.forget"] = 0
weight_map["ignore"] = ["steps"]
with open(f"{out}/map.json", "w") as file:
    file.write(json.dumps(weight_map, indent=2) + "\n")

frames = torch.rand(1, CONTEXT, 1, 16, 24)
with torch.no_grad():
    hidden = cell = torch.zeros(1, CHANNELS, 4, 6)
    previous = frames[:, 0]
    for t in range(CONTEXT):
        hidden, cell, skip = network.step(frames[:, t], previous, hidden, cell)
        previous = frames[:, t]
    forecast = []
    for lead in range(LEADS):
        before, previous = previous, network.following(hidden, skip, previous).clip(-0.5, 1.5)
        forecast.append(previous)
        hidden, cell, skip = network.step(previous, before, hidden, cell)
save_file({"frames": frames, "forecast": torch.stack(forecast, 1)}, f"{out}/roll-out.safetensors")
