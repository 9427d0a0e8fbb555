/** One line of a bench's table. */
export interface Row {
  readonly what: string;
  /** Median milliseconds. */
  readonly ms: number;
  readonly peerMs?: number;
  /** Ours over the peer's. */
  readonly ratio?: number;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

/** Rows as aligned text; columns that no row has are left out. */
export const formatTable = (rows: readonly Row[]): string => {
  const peers = rows.some(({ peerMs }) => peerMs !== undefined);
  const lines = [['', 'ms', ...(peers ? ['PyTorch ms', 'ratio'] : [])]];
  for (const { what, ms, peerMs, ratio } of rows) {
    lines.push([
      what,
      ms.toFixed(1),
      ...(peers ? [peerMs?.toFixed(1) ?? '-', ratio?.toFixed(2) ?? '-'] : []),
    ]);
  }
  const widths = (lines[0] as string[]).map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
    )
    .join('\n');
};
