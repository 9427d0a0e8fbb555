/** One line of a bench's table: what was done, and its figures under the names of their columns. */
export type Row = readonly [what: string, figures: Readonly<Record<string, number | string | undefined>>];

/** What a bench gives: tables for people, figures by name for programs. */
export interface Result {
  readonly tables: readonly (readonly Row[])[];
  readonly figures: Readonly<Record<string, number>>;
}

export interface BenchOptions {
  /** As `mesocast --device`. */
  readonly device: string;
  /** Of the series that quality is measured on; default: the held-out ones. */
  readonly firstSeed: number | undefined;
  /** Systems of bench/systems.json; none: all. */
  readonly systems: readonly string[];
  /** CPU seconds of training for each predictor and system. */
  readonly budget: number | undefined;
  /** Fewer and shorter, for development: where a bench takes long and knows how. */
  readonly quick: boolean;
  /** Only this part, where a bench has parts. */
  readonly part: string | undefined;
  readonly note: (line: string) => void;
}

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

const cellOf = (value: number | string | undefined): string => {
  if (typeof value !== 'number') return value ?? '-';
  return Math.abs(value) < 10
    ? value.toFixed(2)
    : Math.abs(value) < 100
      ? value.toFixed(1)
      : value.toFixed(0);
};

/** Rows as aligned text, with a column for each figure that any row has. */
export const formatTable = (rows: readonly Row[]): string => {
  const columns = [...new Set(rows.flatMap(([, figures]) => Object.keys(figures)))];
  const lines = [
    ['', ...columns],
    ...rows.map(([what, figures]) => [what, ...columns.map((column) => cellOf(figures[column]))]),
  ];
  const widths = ['', ...columns].map((_, k) => Math.max(...lines.map((line) => (line[k] ?? '').length)));
  const aligned = (cell: string, k: number): string =>
    k === 0 ? cell.padEnd(widths[k] ?? 0) : cell.padStart(widths[k] ?? 0);
  return lines.map((line) => line.map(aligned).join('  ')).join('\n');
};
