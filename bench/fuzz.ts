import { uniformNumbers } from '../src/pipeline/random.js';
import { fuzzOnce, fuzzSeeds, newTally, type FuzzTally } from '../test/support/codec-fuzz.js';
import type { BenchOptions, Result, Row } from './table.js';

const CASES = 102_000;
const FOLDER = new URL('../../test/codecs/golden/', import.meta.url);

/** Mutated files of every format: none may crash or hang its reader, be torn and accepted, or slip past a checksum. */
export const benchFuzz = async ({ note }: BenchOptions): Promise<Result> => {
  const random = uniformNumbers(1);
  const seeds = await fuzzSeeds(FOLDER);
  const formats = [...new Set(seeds.map(({ format }) => format))];
  const tallies = new Map<string, FuzzTally>(formats.map((format) => [format, newTally()]));
  const resident = new Map<string, number>();
  let cases = 0;
  for (const format of formats) {
    const own = seeds.filter((seed) => seed.format === format);
    const tally = tallies.get(format) ?? newTally();
    for (let i = 0; i < CASES / formats.length; i++, cases++) {
      const seed = own[i % own.length];
      if (seed !== undefined) await fuzzOnce(seed, random, tally);
      if (i % 20 === 0) resident.set(format, Math.max(resident.get(format) ?? 0, process.memoryUsage.rss()));
    }
    note(`${format}: ${tally.failures.length} failures`);
    for (const failure of tally.failures.slice(0, 5)) note(`  ${failure}`);
  }
  const rows = [...tallies].map(([format, tally]): Row => {
    const percent = (part: number, whole: number): number => (100 * part) / Math.max(1, whole);
    return [
      format,
      {
        files: tally.cut + tally.flipped + tally.garbled,
        'cut, refused %': percent(tally.cutRefused, tally.cut),
        'flipped, refused %': percent(tally.flippedRefused, tally.flipped),
        'harmless %': percent(tally.harmless, tally.flipped),
        'other values %': percent(tally.changed, tally.flipped),
        failures: tally.failures.length,
        'slowest ms': tally.slowest,
        'resident MB': (resident.get(format) ?? 0) / 1e6,
      },
    ];
  });
  const failures = [...tallies.values()].reduce((sum, tally) => sum + tally.failures.length, 0);
  const most = Math.max(...resident.values());
  return {
    tables: [rows],
    figures: { fuzz_files: cases, fuzz_failures: failures, fuzz_resident_mb: most / 1e6 },
  };
};
