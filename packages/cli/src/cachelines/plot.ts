/** Horizontal bars as SVG: one row a thing, parts of a bar stacked. For docs/virt-to-page.md. */

export interface Bar {
  label: string;
  parts: { name: string; value: number }[];
}

const ROW = 26;
const LEFT = 250;
const WIDTH = 420;
const COLOURS = ['#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377', '#888888', '#994411'];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** The SVG of a bar chart; `unit` stands behind every total. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ name }) => name)))];
  const total = ({ parts }: Bar): number => parts.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(...bars.map(total), 1e-9);
  const top = 40;
  const height = top + bars.length * ROW + (names.length > 1 ? 34 : 10);
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
        .toFixed(2)
        .replace(/\.?0+$/, '')} ${unit}`,
    );
    return `${text(LEFT - 8, y + 17, bar.label, 'text-anchor="end"')}${boxes.join('')}${figure}`;
  });
  let at = 12;
  const legend = names.map((name, i) => {
    const y = height - 20;
    const entry = `<rect x="${at}" y="${y}" width="12" height="12" fill="${COLOURS[i % COLOURS.length]}"/>${text(at + 16, y + 11, name)}`;
    at += 30 + name.length * 7;
    return entry;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 110} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    text(12, 22, title, 'font-size="15" font-weight="bold"'),
    ...rows,
    ...(names.length > 1 ? legend : []),
    '</svg>',
    '',
  ].join('\n');
}
