"""Writes the golden images beside this file and golden.json with the values that are in them.

Run once with Python 3.11, numpy 2.4, Pillow 12.3 and tifffile 2026.3, none of which share code with mesocast:

    python make.py

PNGs that Pillow cannot write (16-bit RGB, 16-bit grey with alpha, gamma and transparency chunks) are assembled here
from the PNG specification with zlib alone.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

here = Path(__file__).parent
rng = np.random.default_rng(7)
H, W = 5, 7
u8 = rng.integers(0, 256, (H, W), dtype=np.uint8)
u16 = rng.integers(0, 65536, (H, W), dtype=np.uint16)
f32 = (rng.standard_normal((H, W)) * 1e3).astype(np.float32)
f32[0, 0], f32[1, 1] = 1e-30, -1e30
rgb8 = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
rgb16 = rng.integers(0, 65536, (H, W, 3), dtype=np.uint16)
rgbf = rng.standard_normal((H, W, 3)).astype(np.float32)
expected: dict[str, object] = {}


def golden(name, values, sample_type):
    a = np.asarray(values)
    a = a if a.ndim == 3 else a[..., None]
    data = [float(x) for x in a.astype(np.float32).ravel()]
    expected[name] = {"shape": list(a.shape), "sampleType": sample_type, "data": data}


def refused(name, why):
    expected[name] = {"refused": why}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(name, a, bits, colour_type, extra=b""):
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in a)
    head = struct.pack(">IIBBBBB", a.shape[1], a.shape[0], bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (here / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def pil(name, a, **options):
    Image.fromarray(a).save(here / name, **options)


# PNG
pil("grey8.png", u8)
golden("grey8.png", u8, "uint8")
pil("grey16.png", u16)
golden("grey16.png", u16, "uint16")
pil("rgb8.png", rgb8)
golden("rgb8.png", rgb8, "uint8")
pil("rgb8_equal.png", np.stack([u8] * 3, -1))
golden("rgb8_equal.png", u8, "uint8")
pil("rgba8.png", np.concatenate([rgb8, u8[..., None]], -1))
golden("rgba8.png", rgb8, "uint8")
pil("grey8_alpha.png", np.stack([u8, 255 - u8], -1))
golden("grey8_alpha.png", u8, "uint8")
srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
pil("rgb8_profile.png", rgb8, icc_profile=srgb)
golden("rgb8_profile.png", rgb8, "uint8")
palette = np.array([[10, 10, 10], [200, 0, 0], [0, 150, 7], [255, 255, 255]], dtype=np.uint8)
indexed = Image.fromarray(u8 % 4, "P")
indexed.putpalette(palette.ravel().tolist())
indexed.save(here / "palette.png")
golden("palette.png", palette[u8 % 4], "uint8")
linear = chunk(b"gAMA", struct.pack(">I", 100000))
raw_png("grey16_gamma.png", u16, 16, 0, linear)
golden("grey16_gamma.png", u16, "uint16")
raw_png("rgb16.png", rgb16, 16, 2)
golden("rgb16.png", rgb16, "uint16")
raw_png("rgb16_equal.png", np.stack([u16] * 3, -1), 16, 2)
golden("rgb16_equal.png", u16, "uint16")
raw_png("grey16_alpha.png", np.stack([u16, 65535 - u16], -1), 16, 4)
golden("grey16_alpha.png", u16, "uint16")
raw_png("grey8_transparent.png", u8, 8, 0, chunk(b"tRNS", struct.pack(">H", int(u8[0, 0]))))
golden("grey8_transparent.png", u8, "uint8")


# TIFF
def tif(name, a, **options):
    tifffile.imwrite(here / name, a, metadata=None, software=False, **options)


tif("grey8.tif", u8)
golden("grey8.tif", u8, "uint8")
tif("grey16_big_endian.tif", u16, byteorder=">")
golden("grey16_big_endian.tif", u16, "uint16")
tif("grey16_strips.tif", u16, rowsperstrip=2)
golden("grey16_strips.tif", u16, "uint16")
tiles = rng.integers(0, 65536, (20, 33), dtype=np.uint16)
tif("grey16_tiles.tif", tiles, tile=(16, 16))
golden("grey16_tiles.tif", tiles, "uint16")
tif("float32.tif", f32)
golden("float32.tif", f32, "float32")
tif("float32_big_endian.tif", f32, byteorder=">")
golden("float32_big_endian.tif", f32, "float32")
tif("float32_bigtiff.tif", f32, bigtiff=True)
golden("float32_bigtiff.tif", f32, "float32")
pil("float32_deflate.tif", f32, compression="tiff_adobe_deflate")
golden("float32_deflate.tif", f32, "float32")
pil("grey16_lzw.tif", u16, compression="tiff_lzw")
golden("grey16_lzw.tif", u16, "uint16")
tif("rgb8_planar.tif", np.moveaxis(rgb8, -1, 0), photometric="rgb", planarconfig="separate")
golden("rgb8_planar.tif", rgb8, "uint8")
tif("rgb16.tif", rgb16, photometric="rgb")
golden("rgb16.tif", rgb16, "uint16")
tif("rgb_float32.tif", rgbf, photometric="rgb")
golden("rgb_float32.tif", rgbf, "float32")
pil("rgba8.tif", np.concatenate([rgb8, u8[..., None]], -1))
golden("rgba8.tif", rgb8, "uint8")
tif("white_is_zero.tif", u8, photometric="miniswhite")
golden("white_is_zero.tif", 255 - u8, "uint8")
with tifffile.TiffWriter(here / "thumbnail.tif") as writer:
    writer.write(u16, metadata=None, software=False)
    writer.write(u16[::2, ::2], subfiletype=1, metadata=None, software=False)
golden("thumbnail.tif", u16, "uint16")
tif("pages.tif", np.stack([u8, u8]), photometric="minisblack")
refused("pages.tif", "2 frames")
for name in ("int16", "float16", "float64"):
    tif(f"{name}.tif", f32.clip(-1000, 1000).astype(name))
    refused(f"{name}.tif", "not supported")

# NPY
NPY_TYPES = ("|u1", "<u2", ">u2", "|i1", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8")
stored = {"|u1": "uint8", "<u2": "uint16", ">u2": "uint16"}
plain = rng.integers(0, 100, (3, 4))
for dtype in NPY_TYPES:
    name = f"{dtype[1:]}_{'big' if dtype[0] == '>' else 'little'}.npy"
    a = plain.astype(dtype) if dtype[1] == "u" else (plain - 50).astype(dtype)
    a = a + np.asarray(0.37, dtype) if dtype[1] == "f" else a
    a = a.astype(dtype)
    a.flat[0] = np.iinfo(dtype).max if dtype[1:] in ("u1", "u2", "i1", "i2") else a.flat[0]
    np.save(here / name, a)
    golden(name, a, stored.get(dtype, "float32"))
channels = rng.standard_normal((3, 4, 2)).astype(np.float32)
np.save(here / "channels.npy", channels)
golden("channels.npy", channels, "float32")
np.save(here / "channels_fortran.npy", np.asfortranarray(channels))
golden("channels_fortran.npy", channels, "float32")
for version in ((2, 0), (3, 0)):
    with open(here / f"version{version[0]}.npy", "wb") as file:
        np.lib.format.write_array(file, u16, version=version)
    golden(f"version{version[0]}.npy", u16, "uint16")
leading = rng.standard_normal((1, 3, 20)).astype(np.float32)
np.save(here / "leading_one.npy", leading)
golden("leading_one.npy", leading[0], "float32")
np.save(here / "ambiguous.npy", leading[:, :, :4])
refused("ambiguous.npy", "[1, H, W] or [H, W, C]")
np.save(here / "volume.npy", np.zeros((3, 3, 20), np.uint8))
refused("volume.npy", "3 frames")
np.save(here / "line.npy", np.zeros(9, np.uint8))
refused("line.npy", "[H, W]")
np.save(here / "pickled.npy", np.array([[None, 1]], dtype=object), allow_pickle=True)
refused("pickled.npy", "pickled")
np.save(here / "structured.npy", np.zeros((2, 2), dtype=[("phi", "<f4"), ("u", "<f4")]))
refused("structured.npy", "structured")
np.save(here / "complex.npy", np.zeros((2, 2), dtype=np.complex64))
refused("complex.npy", "not supported")

lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items())
(here / "golden.json").write_text("{\n" + lines + "\n}\n")
