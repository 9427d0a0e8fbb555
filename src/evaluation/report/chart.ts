import { scaleLinear, scaleLog } from 'd3-scale';
import { area, line } from 'd3-shape';

/** One line of a chart; every list has an entry for each x. Values that are not finite leave gaps. */
export interface Line {
  readonly name: string;
  readonly colour: string;
  readonly values: readonly number[];
  /** Drawn behind the line, from low to high. */
  readonly band?: { readonly low: readonly number[]; readonly high: readonly number[] };
  readonly dashed?: boolean;
}

export interface Chart {
  /** File name without its ending, and the id in the page. */
  readonly id: string;
  readonly title: string;
  /** With the unit. */
  readonly x: string;
  readonly y: string;
  readonly xs: readonly number[];
  readonly lines: readonly Line[];
  /** Ends of the y axis; default: of what is drawn. */
  readonly domain?: readonly [number, number];
  /** Both axes logarithmic; what is not positive is left out. */
  readonly log?: boolean;
}

/** Colours that are told apart by people who see few (Okabe and Ito 2008). */
export const COLOURS = {
  forecast: '#0072b2',
  truth: '#222222',
  persistence: '#d55e00',
  linear: '#009e73',
  other: '#cc79a7',
} as const;

const [WIDTH, HEIGHT] = [520, 320];
const FRAME = { right: 14, top: 58, bottom: 44 };
/** Left of the y axis: at least so much, and room for the name of the axis and the longest of its numbers. */
const [LEAST_LEFT, AXIS_NAME, DIGIT] = [62, 30, 7.4];
/** Of the legend: a row, a letter, and what an entry takes besides its letters. */
const [ROW, LETTER, ENTRY] = [18, 6.9, 34];
const FONT = 'font-family="DejaVu Sans, Helvetica, Arial, sans-serif"';

/** For text and attributes of markup. */
export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const short = (value: number): string => String(Number(value.toFixed(1)));

const extent = (chart: Chart): [number, number] => {
  if (chart.domain !== undefined) return [...chart.domain];
  const drawn = chart.lines
    .flatMap(({ values, band }) => [...values, ...(band?.low ?? []), ...(band?.high ?? [])])
    .filter((value) => Number.isFinite(value) && (chart.log !== true || value > 0));
  const [low, high] = [Math.min(...drawn), Math.max(...drawn)];
  if (drawn.length === 0) return [0, 1];
  return low < high
    ? [low, high]
    : [low - Math.max(0.5, Math.abs(low) / 10), high + Math.max(0.5, high / 10)];
};

/** Linear or logarithmic, with the few numbers that are written at the axis. */
const axis = (
  log: boolean,
  domain: readonly [number, number],
  range: readonly [number, number],
  ticks: number,
) => {
  if (!log) {
    const scale = scaleLinear(domain, range).nice(ticks);
    return { at: scale, ticks: scale.ticks(ticks), label: scale.tickFormat(ticks) };
  }
  const scale = scaleLog(domain, range);
  const powers = scale.ticks(ticks).filter((value) => Number.isInteger(Math.log10(value)));
  return {
    at: scale,
    ticks:
      powers.length >= 3
        ? powers
        : scale.ticks(ticks).filter((value) => /^[125]/.test(value.toExponential())),
    label: (value: number): string =>
      value >= 0.01 && value < 1e4 ? String(Number(value.toPrecision(2))) : value.toExponential(0),
  };
};

/** An SVG document as text: needs no browser, and none of its elements a script. */
export const svgOf = (chart: Chart): string => {
  const log = chart.log === true;
  const usable = (value: number | undefined): boolean =>
    value !== undefined && Number.isFinite(value) && (!log || value > 0);
  const [right, bottom] = [WIDTH - FRAME.right, HEIGHT - FRAME.bottom];
  const [first, last] = [chart.xs[0] ?? 0, chart.xs.at(-1) ?? 1];
  const y = axis(log, extent(chart), [bottom, FRAME.top], 5);
  const longest = Math.max(0, ...y.ticks.map((value) => y.label(value).length));
  const start = Math.max(LEAST_LEFT, Math.ceil(AXIS_NAME + DIGIT * longest));
  const x = axis(log, [first, last > first ? last : first + 1], [start, right], 8);
  const drawn = chart.xs.flatMap((_, k) => (log && chart.xs[k]! <= 0 ? [] : [k]));

  const curve = (values: readonly number[]): string =>
    line<number>()
      .defined((k) => usable(values[k]))
      .x((k) => x.at(chart.xs[k]!))
      .y((k) => y.at(values[k]!))(drawn) ?? '';
  const between = (low: readonly number[], high: readonly number[]): string =>
    area<number>()
      .defined((k) => usable(low[k]) && usable(high[k]))
      .x((k) => x.at(chart.xs[k]!))
      .y0((k) => y.at(low[k]!))
      .y1((k) => y.at(high[k]!))(drawn) ?? '';
  const text = (content: string, at: readonly [number, number], more = ''): string =>
    `<text x="${short(at[0])}" y="${short(at[1])}" font-size="12" ${more}>${escaped(content)}</text>`;

  const grid = [
    ...x.ticks.map(
      (value) =>
        `<line x1="${short(x.at(value))}" x2="${short(x.at(value))}" y1="${bottom}" y2="${bottom + 5}" stroke="#666"/>` +
        text(x.label(value), [x.at(value), bottom + 18], 'text-anchor="middle"'),
    ),
    ...y.ticks.map(
      (value) =>
        `<line x1="${start}" x2="${right}" y1="${short(y.at(value))}" y2="${short(y.at(value))}" stroke="#ddd"/>` +
        text(y.label(value), [start - 6, y.at(value) + 4], 'text-anchor="end"'),
    ),
  ];
  const bands = chart.lines.flatMap(({ band, colour }) =>
    band === undefined ? [] : [`<path d="${between(band.low, band.high)}" fill="${colour}" opacity="0.18"/>`],
  );
  const curves = chart.lines.map(
    ({ values, colour, dashed }) =>
      // Round ends: a lead between others that are not known is a dot.
      `<path d="${curve(values)}" fill="none" stroke="${colour}" stroke-width="2" stroke-linecap="round"${dashed === true ? ' stroke-dasharray="5 5"' : ''}/>`,
  );
  let [place, row] = [start, 0];
  const entries = chart.lines.map(({ name, colour, dashed }) => {
    const width = ENTRY + LETTER * name.length;
    if (place > start && place + width > WIDTH) [place, row] = [start, row + 1];
    const from = place;
    place += width;
    return { name, colour, dashed, from, row };
  });
  // The first rows go above the chart, which grows upwards.
  const above = ROW * row;
  const legend = entries.map(({ name, colour, dashed, from, row: own }) => {
    const middle = 42 - above + ROW * own;
    return (
      `<line x1="${short(from)}" x2="${short(from + 18)}" y1="${middle}" y2="${middle}" stroke="${colour}" stroke-width="2"${dashed === true ? ' stroke-dasharray="6 4"' : ''}/>` +
      text(name, [from + 23, middle + 4])
    );
  });
  const height = HEIGHT + above;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${-above} ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(chart.title)}" ${FONT} fill="#222">`,
    `<rect y="${-above}" width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="${start}" y="${22 - above}" font-size="15" font-weight="bold">${escaped(chart.title)}</text>`,
    ...legend,
    ...grid,
    `<clipPath id="clip-${chart.id}"><rect x="${start}" y="${FRAME.top - 2}" width="${right - start}" height="${bottom - FRAME.top + 4}"/></clipPath>`,
    `<g clip-path="url(#clip-${chart.id})">`,
    ...bands,
    ...curves,
    '</g>',
    `<line x1="${start}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="#666"/>`,
    text(chart.x, [(start + right) / 2, HEIGHT - 8], 'text-anchor="middle"'),
    `<text transform="translate(15 ${short((FRAME.top + bottom) / 2)}) rotate(-90)" text-anchor="middle" font-size="12">${escaped(chart.y)}</text>`,
    '</svg>',
  ].join('\n');
};
