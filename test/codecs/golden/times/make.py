"""Writes the files beside this one, whose frames say when they were, and golden.json with those times.

Run once with numpy 2.4, tifffile 2026.3, h5py 3.16 and vtk 9.7 (pip):

    python make.py
"""

import json
from pathlib import Path

import h5py
import numpy as np
import tifffile
import vtk
from vtk.util.numpy_support import numpy_to_vtk

here = Path(__file__).parent
H, W, N = 3, 4, 3
frames = np.arange(N * H * W, dtype=np.float32).reshape(N, H, W)
times = np.array([0.1, 0.3000000001, 12345.678])
expected = {}


def with_time(dataset, value):
    array = numpy_to_vtk(np.array([value]))
    array.SetName("TimeValue")
    dataset.GetFieldData().AddArray(array)
    return dataset


def image():
    grid = vtk.vtkImageData()
    grid.SetDimensions(W, H, 1)
    values = numpy_to_vtk(frames[0].ravel(), deep=True)
    values.SetName("phi")
    grid.GetPointData().AddArray(values)
    return grid


for name, mode in (("ascii", "SetDataModeToAscii"), ("binary", "SetDataModeToBinary"), ("appended", "SetDataModeToAppended")):
    writer = vtk.vtkXMLImageDataWriter()
    getattr(writer, mode)()
    writer.SetInputData(with_time(image(), times[1]))
    writer.SetFileName(str(here / f"{name}.vti"))
    writer.Write()
    expected[f"{name}.vti"] = {"times": [times[1]]}
for name in ("ASCII", "Binary"):
    writer = vtk.vtkStructuredPointsWriter()
    getattr(writer, f"SetFileTypeTo{name}")()
    writer.SetInputData(with_time(image(), times[2]))
    writer.SetFileName(str(here / f"{name.lower()}.vtk"))
    writer.Write()
    expected[f"{name.lower()}.vtk"] = {"times": [times[2]]}
grid = vtk.vtkImageToStructuredGrid()
grid.SetInputData(image())
append = vtk.vtkAppendFilter()
append.SetInputConnection(grid.GetOutputPort())
append.Update()
writer = vtk.vtkXMLUnstructuredGridWriter()
writer.SetInputData(with_time(append.GetOutput(), times[0]))
writer.SetFileName(str(here / "grid.vtu"))
writer.Write()
expected["grid.vtu"] = {"times": [times[0]]}

with h5py.File(here / "beside.h5", "w") as file:
    file["run/frames"] = frames
    file["run/time"] = times
    file["run/time"].attrs["units"] = "ms"
    file["run/clock"] = times[:2] * 2
expected["beside.h5"] = {"times": list(times), "unit": "ms"}
expected["beside.h5 clock"] = {"times": [*(times[:2] * 2), None], "options": {"times": "run/clock"}}
with h5py.File(here / "attribute.h5", "w") as file:
    file["phi"] = frames[0]
    file["phi"].attrs["time"] = times[1]
expected["attribute.h5"] = {"times": [times[1]]}

tifffile.imwrite(
    here / "increment.ome.tif", frames, photometric="minisblack", metadata={"axes": "TYX", "TimeIncrement": 0.5, "TimeIncrementUnit": "min"}
)
expected["increment.ome.tif"] = {"times": [0, 0.5, 1], "unit": "min"}
planes = np.stack([frames, frames + 100], 1)
tifffile.imwrite(
    here / "planes.ome.tif",
    planes,
    photometric="minisblack",
    metadata={"axes": "TCYX", "Plane": {"DeltaT": [0.0, 0.01, 2.0, 2.01, 4.1, 4.11]}},
)
expected["planes.ome.tif"] = {"times": [0.01, 2.01, 4.11], "unit": "s", "options": {"channel": 1}}

(here / "golden.json").write_text(json.dumps(expected, indent=2) + "\n")
