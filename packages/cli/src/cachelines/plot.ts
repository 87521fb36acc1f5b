/** Horizontal bars as SVG: one row a thing, parts of a bar stacked. For docs/virt-to-page.md. */

export interface Bar {
  label: string;
  parts: { name: string; value: number }[];
}

const ROW = 26;
const LEFT = 250;
const WIDTH = 420;
const PAGE_WIDTH: number = LEFT + WIDTH + 110;
const LEGEND_ROW = 18;
const COLOURS = [
  '#4477aa',
  '#ee6677',
  '#228833',
  '#ccbb44',
  '#66ccee',
  '#aa3377',
  '#888888',
  '#994411',
  '#000066',
  '#ff9911',
  '#66aa55',
  '#bb99dd',
];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Where the names of a legend stand: side by side, in as many rows as they need. */
function legendOf(names: readonly string[]): { name: string; x: number; row: number }[] {
  let x = 12;
  let row = 0;
  return names.map((name) => {
    const width = 34 + name.length * 8;
    if (x + width > PAGE_WIDTH) {
      x = 12;
      row++;
    }
    const entry = { name, x, row };
    x += width;
    return entry;
  });
}

/** The SVG of a bar chart; `unit` stands behind every total. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const total = ({ parts }: Bar): number => parts.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(...bars.map(total), 1e-9);
  const top = 40;
  const entries = names.length > 1 ? legendOf(names) : [];
  const legendTop = top + bars.length * ROW + 14;
  const height = legendTop + ((entries.at(-1)?.row ?? -1) + 1) * LEGEND_ROW;
  const text = (x: number, y: number, content: string, more = ''): string =>
    `<text x="${x}" y="${y}" ${more}>${escaped(content)}</text>`;
  const rows = bars.map((bar, i) => {
    const y = top + i * ROW;
    let x = LEFT;
    const boxes = bar.parts.map(({ name, value }) => {
      const width = (value / most) * WIDTH;
      const box = `<rect x="${x.toFixed(1)}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 8}" fill="${COLOURS[names.indexOf(name) % COLOURS.length]}"/>`;
      x += width;
      return box;
    });
    const figure = text(
      x + 6,
      y + 17,
      `${total(bar)
        .toFixed(total(bar) < 10 ? 1 : 0)
        .replace(/\.0$/, '')} ${unit}`,
    );
    return `${text(LEFT - 8, y + 17, bar.label, 'text-anchor="end"')}${boxes.join('')}${figure}`;
  });
  const legend = entries.map(({ name, x, row }, i) => {
    const y = legendTop + row * LEGEND_ROW;
    return `<rect x="${x}" y="${y}" width="12" height="12" fill="${COLOURS[i % COLOURS.length]}"/>${text(x + 16, y + 11, name)}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${PAGE_WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    text(12, 22, title, 'font-size="15" font-weight="bold"'),
    ...rows,
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}
