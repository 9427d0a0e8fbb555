"""Three PyTorch modules as the encoder, predictor and decoder of a mesocast forecaster.

    pip install torch onnx onnxscript
    python export.py my-forecaster
    mesocast forecast FRAMES --forecaster my-forecaster

Tensors are NCHW float32, frames normalised to 0..1. The names of inputs and outputs are the contract; what happens in
between is yours. docs/onnx.md has the details.
"""

import json
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

LATENT, HIDDEN, WIDTH = 16, 16, 8


class Encoder(nn.Module):
    """Frame and its change since the previous one, to a latent at half the resolution, and a skip."""

    def __init__(self, channels=1):
        super().__init__()
        self.fine = nn.Conv2d(2 * channels, WIDTH, 3, padding=1, padding_mode="replicate")
        self.coarse = nn.Conv2d(WIDTH, LATENT, 3, stride=2, padding=1)

    def forward(self, frame, previous):
        skip = F.leaky_relu(self.fine(torch.cat([frame, frame - previous], 1)), 0.2)
        return F.leaky_relu(self.coarse(skip), 0.2), skip


class Predictor(nn.Module):
    """A convolutional GRU: its hidden state is the latent that it expects next."""

    def __init__(self):
        super().__init__()
        self.gates = nn.Conv2d(LATENT + HIDDEN, 2 * HIDDEN, 3, padding=1)
        self.candidate = nn.Conv2d(LATENT + HIDDEN, HIDDEN, 3, padding=1)

    def forward(self, latent, state):
        update, reset = torch.sigmoid(self.gates(torch.cat([latent, state], 1))).chunk(2, 1)
        candidate = torch.tanh(self.candidate(torch.cat([latent, reset * state], 1)))
        state = (1 - update) * state + update * candidate
        return state, state


class Decoder(nn.Module):
    """Latent and skip to the change of the frame."""

    def __init__(self, channels=1):
        super().__init__()
        self.mix = nn.Conv2d(HIDDEN + WIDTH, WIDTH, 3, padding=1)
        self.change = nn.Conv2d(WIDTH, channels, 3, padding=1)

    def forward(self, latent, skip, frame):
        up = F.interpolate(latent, scale_factor=2)
        return frame + self.change(F.leaky_relu(self.mix(torch.cat([up, skip], 1)), 0.2))


# Batch, height and width are left open, so that frames of any size can come, and several series at once.
OPEN = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}


def export(module, inputs, outputs, path, **options):
    """Writes one stage. `inputs` are examples by name: a batch of two, or it would be fixed at one; each a tensor of its
    own, or the exporter takes two inputs for the same."""
    torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        path,
        input_names=list(inputs),
        output_names=outputs,
        **{"dynamic_shapes": tuple(OPEN for _ in inputs), "opset_version": 20, **options},
    )


def main(folder):
    torch.manual_seed(1)
    # Train them first, or load what you have trained: encoder.load_state_dict(torch.load(...))
    encoder, predictor, decoder = Encoder(), Predictor(), Decoder()

    os.makedirs(folder, exist_ok=True)
    frame, previous, latent = torch.rand(2, 1, 32, 48), torch.rand(2, 1, 32, 48), torch.rand(2, LATENT, 16, 24)
    state, skip = torch.rand(2, HIDDEN, 16, 24), torch.rand(2, WIDTH, 32, 48)
    export(encoder, {"frame": frame, "previous": previous}, ["latent", "skip_0"], f"{folder}/encoder.onnx")
    export(predictor, {"latent": latent, "state_0": state}, ["next_latent", "next_state_0"], f"{folder}/predictor.onnx")
    export(decoder, {"latent": state, "skip_0": skip, "frame": frame}, ["next_frame"], f"{folder}/decoder.onnx")
    settings = {
        "format": 1,
        "name": "from-pytorch",
        "encoder": {"name": "encoder.onnx"},
        "predictor": {"name": "predictor.onnx"},
        "decoder": {"name": "decoder.onnx"},
        "channels": 1,
        "context": 10,
    }
    with open(f"{folder}/forecaster.json", "w") as file:
        json.dump(settings, file, indent=2)


if __name__ == "__main__":
    main(sys.argv[1])
