import { statfs } from 'node:fs/promises';

/** Numbers by which Linux knows file systems on which a change by another machine wakes nobody up (statfs(2)). */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x65735546, 'FUSE (sshfs and the like)'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x00c36400, 'Ceph'],
  [0x01021997, '9p'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0xaad7aaea, 'PanFS'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
]);

/** What a network file system is called, by the type that statfs gives; undefined for all others. */
export const networkFileSystem = (type: number): string | undefined => NETWORK.get(type >>> 0);

/** The network file system that a folder lies on; undefined where it is a local one, or nobody can say. */
export const networkFileSystemOf = async (folder: string): Promise<string | undefined> => {
  if (process.platform !== 'linux') return undefined; // elsewhere the numbers mean other things
  const found = await statfs(folder).catch(() => undefined);
  return found === undefined ? undefined : networkFileSystem(found.type);
};
