"""Writes image data with hidden points and hidden cells beside this file: values count up, 5 and 9 are hidden.

Run once with vtk 9.7 (pip): python make.py
"""

from pathlib import Path

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

for kind, (nx, ny) in {"point": (4, 3), "cell": (5, 4)}.items():
    grid = vtk.vtkImageData()
    grid.SetDimensions(nx, ny, 1)
    values = numpy_to_vtk(np.arange(12, dtype=np.float32), deep=True)
    values.SetName("phi")
    (grid.GetPointData() if kind == "point" else grid.GetCellData()).AddArray(values)
    for hidden in (5, 9):
        (grid.BlankPoint if kind == "point" else grid.BlankCell)(hidden)
    writer = vtk.vtkXMLImageDataWriter()
    writer.SetInputData(grid)
    writer.SetFileName(str(Path(__file__).parent / f"{kind}s.vti"))
    writer.Write()
