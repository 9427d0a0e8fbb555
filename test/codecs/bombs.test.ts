import { expect, test } from '@jest/globals';
import { crc32, deflateRawSync, deflateSync } from 'node:zlib';
import { bytesOf } from '../../src/pipeline/bytes.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';

/** One deflated member of a ZIP archive that claims to expand to `size` bytes. */
const zipOf = (name: string, content: Buffer, size: number): Buffer => {
  const packed = deflateRawSync(content);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(8, 8);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(8, 10);
  central.writeUInt32LE(crc32(content), 16);
  central.writeUInt32LE(packed.length, 20);
  central.writeUInt32LE(size, 24);
  central.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + name.length, 12);
  end.writeUInt32LE(30 + name.length + packed.length, 16);
  return Buffer.concat([local, Buffer.from(name), packed, central, Buffer.from(name), end]);
};
const npyHeader = (shape: string): Buffer => {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape}), }`.padEnd(117) + '\n';
  return Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.from([118, 0]),
    Buffer.from(text),
  ]);
};
const vti = (extent: string, data: Buffer): Buffer =>
  Buffer.from(
    `<VTKFile type="ImageData" byte_order="LittleEndian" compressor="vtkZLibDataCompressor"><ImageData WholeExtent="${extent}">` +
      `<Piece Extent="${extent}"><PointData><DataArray type="UInt8" Name="a" format="binary">` +
      `${data.toString('base64')}</DataArray></PointData></Piece></ImageData></VTKFile>`,
  );
const mrcHeader = (): Buffer => {
  const head = Buffer.alloc(1024 + 64);
  [50_000, 50_000, 4, 2].forEach((value, i) => head.writeInt32LE(value, 4 * i));
  head.write('MAP ', 208);
  head.set([0x44, 0x44], 212);
  return head;
};
const pngOf = (width: number, height: number): Buffer => {
  const chunk = (type: string, data: Buffer): Buffer => {
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.write(type, 4);
    const check = Buffer.alloc(4);
    check.writeUInt32BE(crc32(Buffer.concat([frame.subarray(4), data])));
    return Buffer.concat([frame, data, check]);
  };
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0]);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.alloc(1e6))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
};
/** The header of one zlib block of VTK that holds a whole array of `size` bytes. */
const block = (content: Buffer, size: number): Buffer => {
  const packed = deflateSync(content);
  const head = Buffer.alloc(16);
  [1, size, size, packed.length].forEach((value, i) => head.writeUInt32LE(value, 4 * i));
  return Buffer.from(head.toString('base64') + packed.toString('base64'), 'base64');
};

const zeros = Buffer.alloc(20_000_000);
test.each([
  ['png', 'more pixels than are read', pngOf(60_000, 60_000), /more than 268435456 pixels/],
  [
    'npz',
    'a size that deflate cannot give',
    zipOf('a.npy', npyHeader('60000, 60000'), 3_600_000_128),
    /claims/,
  ],
  [
    'npz',
    'a header for more than its member holds',
    zipOf('a.npy', Buffer.concat([npyHeader('60000, 60000'), zeros]), 20_000_128),
    /of the 3600000128 bytes/,
  ],
  [
    'npz',
    'a member that expands to more than it says',
    zipOf('a.npy', Buffer.concat([npyHeader('100, 100'), zeros]), 10_128),
    /does not decompress/,
  ],
  ['vti', 'an extent of 10 GB', vti('0 99999 0 99999 0 0', Buffer.alloc(64)), /claims 10000000000 values/],
  [
    'vti',
    'a block that expands to more than it says',
    vti('0 99 0 99 0 0', block(zeros, 10_000)),
    /does not decompress|cut short/,
  ],
  ['mrc', 'a header of 40 GB', mrcHeader(), /of the 40000001024 bytes/],
] as const)('%s: %s is refused', async (format, _what, bytes, reason) => {
  const codec = await createPlugin('codec', format, {}, undefined);
  const before = process.memoryUsage.rss();
  await expect(codec.decode(bytes)).rejects.toThrow(reason);
  expect((await codec.stack?.count(bytesOf(bytes)))?.count ?? 0).toBeLessThanOrEqual(1);
  expect(process.memoryUsage.rss() - before).toBeLessThan(200e6);
});
