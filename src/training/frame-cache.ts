/** Frames in memory, the ones that were not used for longest going first when there are too many. */
export interface FrameCache {
  readonly mostBytes: number;
  /** The frame of this key, loaded if it is not here. Whoever asks while it is loaded gets the same one. */
  frame(key: string, load: () => Promise<Float32Array>): Promise<Float32Array>;
}

/** Holds at most so many bytes, and besides what is being loaded. */
export const frameCache = (mostBytes: number): FrameCache => {
  const kept = new Map<string, Float32Array>();
  const loading = new Map<string, Promise<Float32Array>>();
  let bytes = 0;

  const keep = (key: string, frame: Float32Array): void => {
    if (frame.byteLength > mostBytes) return;
    kept.set(key, frame);
    bytes += frame.byteLength;
    for (const [oldest, { byteLength }] of kept) {
      if (bytes <= mostBytes) return;
      kept.delete(oldest);
      bytes -= byteLength;
    }
  };

  return {
    mostBytes,
    frame: (key, load) => {
      const known = kept.get(key);
      if (known !== undefined) {
        kept.delete(key);
        kept.set(key, known); // the last: it was used last
        return Promise.resolve(known);
      }
      const coming = loading.get(key);
      if (coming !== undefined) return coming;
      const job = load()
        .then((frame) => {
          keep(key, frame);
          return frame;
        })
        .finally(() => loading.delete(key));
      loading.set(key, job);
      return job;
    },
  };
};
