"""Writes the golden files beside this one and golden.json with the values that are in them.

Run once with Python 3.11, numpy 2.4, Pillow 12.3, tifffile 2026.3, h5py 3.16 and vtk 9.7 (pip) and mrcfile 1.4
(pip, or Debian's python3-mrcfile), none of which share code with mesocast:

    python make.py

lammps.vtr and lammps.chunk were there before. The file in the manner of deal.II is assembled here: every cell brings its own corners, in pieces.
"""

import base64
import json
import struct
import zlib
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import tifffile
import vtk
from PIL import Image
from vtk.util.numpy_support import numpy_to_vtk

here = Path(__file__).parent
rng = np.random.default_rng(11)
H, W, N = 5, 7, 3
u8 = rng.integers(0, 256, (N, H, W), dtype=np.uint8)
u16 = rng.integers(0, 65536, (N, H, W), dtype=np.uint16)
f32 = (rng.standard_normal((N, H, W)) * 1e3).astype(np.float32)
velocity = rng.standard_normal((H, W, 3)).astype(np.float32)
expected = {}


def frame(a, sample_type):
    a = np.asarray(a)
    a = a if a.ndim == 3 else a[..., None]
    data = [float(x) for x in a.astype(np.float32).ravel()]
    return {"shape": list(a.shape), "sampleType": sample_type, "data": data}


def golden(name, *frames, sample_type="float32", options=None, tolerance=0):
    entry = {"file": name, "frames": [frame(a, sample_type) for a in frames]}
    if options:
        entry["options"] = options
    if tolerance:
        entry["tolerance"] = tolerance
    expected[" ".join([name] + [f"{k}={v}" for k, v in (options or {}).items()])] = entry


def refused(name, why, options=None):
    entry = {"file": name, "refused": why}
    if options:
        entry["options"] = options
    expected[" ".join([name, "refused"] + [f"{k}={v}" for k, v in (options or {}).items()])] = entry


# NPY, NPZ
np.save(here / "stack.npy", u16)
golden("stack.npy", *u16, sample_type="uint16", options={"axes": "NHW"})
np.save(here / "stack_fortran.npy", np.asfortranarray(f32))
golden("stack_fortran.npy", *f32, options={"axes": "NHW"})
np.savez(here / "stored.npz", phi=f32[0], mu=f32[1].astype(np.float64))
golden("stored.npz", f32[0], options={"field": "phi"})
golden("stored.npz", np.stack([f32[1], f32[0]], -1), options={"field": ["mu", "phi"]})
refused("stored.npz", "it holds several fields: phi, mu")
refused("stored.npz", 'no field "psi", but phi, mu', {"field": "psi"})
np.savez_compressed(here / "deflated.npz", u16[0])
golden("deflated.npz", u16[0], sample_type="uint16")
np.savez_compressed(here / "deflated_stack.npz", frames=u8)
golden("deflated_stack.npz", *u8, sample_type="uint8", options={"axes": "NHW"})
np.savez(here / "pickled.npz", a=np.array([[None, 1]], dtype=object))
refused("pickled.npz", "pickled")

# JPEG, WebP
smooth = np.add.outer(np.arange(16) * 9, np.arange(24) * 4).astype(np.uint8)
Image.fromarray(smooth).save(here / "grey.jpg", quality=95)
golden("grey.jpg", np.asarray(Image.open(here / "grey.jpg")), sample_type="uint8", tolerance=1)
Image.fromarray(smooth).save(here / "progressive.jpg", quality=90, progressive=True)
golden("progressive.jpg", np.asarray(Image.open(here / "progressive.jpg")), sample_type="uint8", tolerance=1)
rgb = np.stack([smooth, smooth[::-1], 255 - smooth], -1)
Image.fromarray(rgb).save(here / "lossless.webp", lossless=True)
golden("lossless.webp", rgb, sample_type="uint8")
Image.fromarray(rgb).save(here / "lossy.webp", quality=80)
golden("lossy.webp", np.asarray(Image.open(here / "lossy.webp")), sample_type="uint8", tolerance=1)

# TIFF with several pages
tifffile.imwrite(here / "pages.tif", u16, photometric="minisblack", metadata=None)
golden("pages.tif", *u16, sample_type="uint16")
tifffile.imwrite(here / "pages_big.tif", f32, photometric="minisblack", bigtiff=True, compression="zlib", metadata=None)
golden("pages_big.tif", *f32)
with tifffile.TiffWriter(here / "appended.tif", byteorder=">") as writer:
    for page in u8:
        writer.write(page, metadata=None, rowsperstrip=2)
golden("appended.tif", *u8, sample_type="uint8")
tifffile.imwrite(here / "time.ome.tif", u8, photometric="minisblack", metadata={"axes": "TYX"})
golden("time.ome.tif", *u8, sample_type="uint8")
tzcyx = rng.integers(0, 65536, (2, 2, 3, H, W), dtype=np.uint16)
tifffile.imwrite(here / "planes.ome.tif", tzcyx, photometric="minisblack", metadata={"axes": "TZCYX"})
golden("planes.ome.tif", *tzcyx[:, 1, 2], sample_type="uint16", options={"channel": 2, "slice": 1})
refused("planes.ome.tif", "3 channels")

# MRC
for name, a, kind in (("i1", u8.view(np.int8), "float32"), ("i2", u16.view(np.int16), "float32"), ("f4", f32, "float32"), ("u2", u16, "uint16")):
    with mrcfile.new(here / f"movie_{name}.mrc", overwrite=True) as movie:
        movie.set_data(a)
        movie.set_image_stack()
    golden(f"movie_{name}.mrc", *a, sample_type=kind)
with mrcfile.new(here / "extended.mrc", overwrite=True) as movie:
    movie.set_data(f32[0])
    movie.set_extended_header(np.zeros(64, "V1"))
golden("extended.mrc", f32[0])
with mrcfile.new(here / "complex.mrc", overwrite=True) as movie:
    movie.set_data(f32[0].astype(np.complex64))
refused("complex.mrc", "mode 4")


# VTK
def image(arrays, cells=(), size=(W, H, 1), origin=(0, 0, 0)):
    grid = vtk.vtkImageData()
    grid.SetExtent(origin[0], origin[0] + size[0] - 1, origin[1], origin[1] + size[1] - 1, 0, size[2] - 1)
    for data, items in ((grid.GetPointData(), arrays), (grid.GetCellData(), cells)):
        for name, a in items:
            array = numpy_to_vtk(np.ascontiguousarray(a).reshape(-1, 3 if a.ndim == 3 else 1), deep=True)
            array.SetName(name)
            data.AddArray(array)
    return grid


def write_xml(name, grid, mode, encode=False, compress=True, wide=False, big=False, kind="ImageData"):
    writer = {"ImageData": vtk.vtkXMLImageDataWriter, "Grid": vtk.vtkXMLUnstructuredGridWriter}[kind]()
    writer.SetFileName(str(here / name))
    writer.SetInputData(grid)
    getattr(writer, f"SetDataModeTo{mode}")()
    writer.SetEncodeAppendedData(encode)
    writer.SetCompressorTypeToZLib() if compress else writer.SetCompressorTypeToNone()
    writer.SetHeaderTypeToUInt64() if wide else writer.SetHeaderTypeToUInt32()
    writer.SetByteOrderToBigEndian() if big else writer.SetByteOrderToLittleEndian()
    writer.SetBlockSize(64)
    writer.Write()


both = image([("phi", f32[0]), ("velocity", velocity)], [("grain", u8[0, 1:, 1:])], origin=(2, 3))
modes = {
    "ascii": dict(mode="Ascii"),
    "base64": dict(mode="Binary", compress=False),
    "base64_zlib": dict(mode="Binary"),
    "raw": dict(mode="Appended", compress=False, wide=True),
    "raw_zlib": dict(mode="Appended"),
    "raw_big": dict(mode="Appended", compress=False, big=True),
    "encoded": dict(mode="Appended", encode=True, compress=False),
    "encoded_zlib": dict(mode="Appended", encode=True, wide=True),
}
for name, how in modes.items():
    write_xml(f"{name}.vti", both, **how)
    golden(f"{name}.vti", f32[0], options={"field": "phi"})
    golden(f"{name}.vti", u8[0, 1:, 1:], sample_type="uint8", options={"field": "grain"})
golden("raw.vti", velocity, options={"field": "velocity"})
golden("base64_zlib.vti", np.stack([velocity[..., 1], f32[0]], -1), options={"field": ["velocity.1", "phi"]})
refused("raw.vti", "it holds several fields: phi, velocity (3 components), grain")
refused("raw.vti", 'no field "velocity.3"', {"field": "velocity.3"})
standing = image([("phi", f32[0])], size=(W, 1, H))
write_xml("standing.vti", standing, mode="Ascii")
golden("standing.vti", f32[0])
write_xml("volume.vti", image([("phi", f32.reshape(-1, W))], size=(W, H, N)), mode="Ascii")
refused("volume.vti", "a volume of 7x5x3")
lz4 = vtk.vtkXMLImageDataWriter()
lz4.SetFileName(str(here / "lz4.vti"))
lz4.SetInputData(standing)
lz4.SetCompressorTypeToLZ4()
lz4.Write()
refused("lz4.vti", "vtkLZ4DataCompressor")

# lammps.vtr is LAMMPS's own (4 Feb 2025, `dump grid/vtk` of `fix ave/grid`); these numbers are what `dump grid` wrote of it.
# lammps.chunk is the same run by `fix ave/chunk`, a frame longer.
lammps = np.array("""
    0.173333 0.776667 0.0857143 0.466667 0.266667 0.54 0.605714
    0.09 0.3 0 0.31 0.633333 0.263333 0
    0.08 0.360714 0.304762 0.7 0.796667 0.592857 0.5
    0.52 1 0.46 0.426667 0.226667 0 0
    0.12 0.366667 0 0.82 0.24 0.19 0.69
""".split(), np.float32).reshape(H, W)
golden("lammps.vtr", lammps)
text = (here / "lammps.vtr").read_text()
(here / "uneven.vtr").write_text(text.replace("4.47214", "4.97214"))
refused("uneven.vtr", "not evenly spaced along x")

legacy_data = image([("phi", f32[0]), ("velocity", velocity)], [("grain", u16[0, 1:, 1:])])
legacy_data.GetPointData().SetActiveScalars("phi")
for name, ascii in (("text", True), ("binary", False)):
    writer = vtk.vtkStructuredPointsWriter()
    writer.SetFileName(str(here / f"{name}.vtk"))
    points = vtk.vtkStructuredPoints()
    points.ShallowCopy(legacy_data)
    writer.SetInputData(points)
    writer.SetFileTypeToASCII() if ascii else writer.SetFileTypeToBinary()
    writer.Write()
    close = 0.01 if ascii else 0  # six digits
    golden(f"{name}.vtk", f32[0], options={"field": "phi"}, tolerance=close)
    golden(f"{name}.vtk", velocity, options={"field": "velocity"}, tolerance=close)
    golden(f"{name}.vtk", u16[0, 1:, 1:], sample_type="uint16", options={"field": "grain"})
    refused(f"{name}.vtk", "several fields")
(here / "hand.vtk").write_text(
    "# vtk DataFile Version 3.0\nby a simulation's own writer\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 7 5 1\n"
    "ORIGIN 0 0 0\nSPACING 1 1 1\nPOINT_DATA 35\nSCALARS phi double\nLOOKUP_TABLE default\n"
    + "\n".join(" ".join(repr(float(x)) for x in row) for row in f32[1])
    + "\n"
)
golden("hand.vtk", f32[1])


def corners(rows, columns):
    """Each cell's own four corners: [cell, corner] -> row and column of a point."""
    j, i = (m.ravel() for m in np.mgrid[: rows - 1, : columns - 1])
    return np.stack([j, j, j + 1, j + 1], -1).ravel(), np.stack([i, i + 1, i, i + 1], -1).ravel()


rows, columns = corners(H, W)
grid = vtk.vtkUnstructuredGrid()
points = vtk.vtkPoints()
for j, i in zip(rows, columns):
    points.InsertNextPoint(0.5 * i, 0.25 * j, 0)
grid.SetPoints(points)
for cell in range(len(rows) // 4):
    ids = [4 * cell, 4 * cell + 1, 4 * cell + 3, 4 * cell + 2]
    grid.InsertNextCell(vtk.VTK_QUAD, 4, ids)
for name, a in (("phi", f32[0][rows, columns]), ("velocity", velocity[rows, columns])):
    array = numpy_to_vtk(np.ascontiguousarray(a), deep=True)
    array.SetName(name)
    grid.GetPointData().AddArray(array)
for name in ("raw_zlib", "base64", "ascii"):
    write_xml(f"{name}.vtu", grid, kind="Grid", **modes[name])
    golden(f"{name}.vtu", f32[0], options={"field": "phi"})
golden("raw_zlib.vtu", velocity, options={"field": "velocity"})
refused("raw_zlib.vtu", "several fields")


def deal(a, kind):
    """One zlib block in base64, as deal.II writes it."""
    packed = zlib.compress(np.ascontiguousarray(a, kind).tobytes())
    head = struct.pack("<IIII", 1, a.size * np.dtype(kind).itemsize, a.size * np.dtype(kind).itemsize, len(packed))
    return base64.b64encode(head).decode() + base64.b64encode(packed).decode()


def piece(part):
    j, i = rows[part], columns[part]
    xyz = np.stack([i / 3, j / 3, 0 * i], -1)
    return (
        f'<Piece NumberOfPoints="{len(i)}" NumberOfCells="{len(i) // 4}" >\n<Points>\n'
        f'<DataArray type="Float32" NumberOfComponents="3" format="binary">\n{deal(xyz, "f4")}\n</DataArray>\n</Points>\n'
        f'<Cells>\n<DataArray type="Int32" Name="connectivity" format="binary">\n{deal(np.arange(len(i)), "i4")}\n</DataArray>\n'
        f'</Cells>\n<PointData Scalars="scalars">\n<DataArray type="Float32" Name="n0" format="binary">\n'
        f'{deal(f32[2][j, i], "f4")}\n</DataArray>\n</PointData>\n</Piece>\n'
    )


half = len(rows) // 8 * 4
(here / "dealii.vtu").write_text(
    '<?xml version="1.0" ?> \n<!-- \n# vtk DataFile Version 3.0\n#This file was generated \n-->\n'
    '<VTKFile type="UnstructuredGrid" version="0.1" compressor="vtkZLibDataCompressor" byte_order="LittleEndian">\n'
    "<UnstructuredGrid>\n" + piece(slice(0, half)) + piece(slice(half, None)) + "</UnstructuredGrid>\n</VTKFile>\n"
)
golden("dealii.vtu", f32[2])
(here / "adaptive.vtu").write_text(
    '<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian"><UnstructuredGrid>'
    '<Piece NumberOfPoints="7" NumberOfCells="0"><Points><DataArray type="Float32" NumberOfComponents="3" format="ascii">'
    "0 0 0 1 0 0 2 0 0 0 1 0 0 2 0 2 2 0 1 2 0</DataArray></Points><PointData>"
    '<DataArray type="Float32" Name="n0" format="ascii">1 2 3 4 5 6 7</DataArray></PointData>'
    "</Piece></UnstructuredGrid></VTKFile>\n"
)
refused("adaptive.vtu", "of a regular grid")

# HDF5
with h5py.File(here / "plain.h5", "w") as file:
    file["phi"] = f32[0]
    file["fields/mu"] = f32[1].astype(np.float64)
    file["fields/grain"] = u16[0].astype(">u2")
    file["note"] = "not a field"
golden("plain.h5", f32[0], options={"field": "phi"})
golden("plain.h5", f32[1], options={"field": "/fields/mu"})
golden("plain.h5", u16[0], sample_type="uint16", options={"field": "fields/grain"})
golden("plain.h5", np.stack([f32[0], f32[1]], -1), options={"field": ["phi", "fields/mu"]})
refused("plain.h5", "it holds several fields: fields/grain, fields/mu, phi")
refused("plain.h5", 'no field "psi"', {"field": "psi"})
with h5py.File(here / "chunked.h5", "w", libver="latest") as file:
    file.create_dataset("frames", data=u8, chunks=(1, 4, 4), maxshape=(None, H, W), compression="gzip", shuffle=True)
golden("chunked.h5", *u8, sample_type="uint8", options={"axes": "NHW"})
with h5py.File(here / "checked.h5", "w") as file:
    file.create_dataset("frames", data=f32, chunks=(1, H, W), fletcher32=True)
golden("checked.h5", *f32, options={"axes": "NHW"})
with h5py.File(here / "detector.nxs", "w") as file:
    file.attrs["default"] = "entry"
    entry = file.create_group("entry")
    entry.attrs.update({"NX_class": "NXentry", "default": "data"})
    data = entry.create_group("data")
    data.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": [".", "y", "x"]})
    data["counts"] = u16
    data["y"], data["x"] = np.arange(H, dtype=float), np.arange(W, dtype=float)
    entry["weights"] = f32[0]
golden("detector.nxs", *u16, sample_type="uint16", options={"axes": "NHW"})

lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items())
(here / "golden.json").write_text("{\n" + lines + "\n}\n")
