/** Lines in a diagram that begins at zero. */
export interface Plot {
  title: string;
  /** What the axes are. */
  x: string;
  y: string;
  lines: readonly { name: string; points: readonly { x: number; y: number }[] }[];
}

const WIDTH = 640;
const HEIGHT = 360;
/** Where the axes are, in pixels from the left and the top. */
const LEFT = 70;
const RIGHT = WIDTH - 130;
const TOP = 50;
const BOTTOM = HEIGHT - 50;
const COLOURS = ['#0b6', '#c33', '#36c', '#a6a'];
const STEPS = [1, 2, 5];
const MOST_TICKS = 8;

/** Draws a plot as SVG, one element a line, so that two of them can be compared as text. */
export function drawPlot({ title, x, y, lines }: Plot): string {
  const points = lines.flatMap(line => line.points);
  const across = ticksUpTo(Math.max(...points.map(point => point.x), 1));
  const up = ticksUpTo(Math.max(...points.map(point => point.y), 0));
  const placeX = (value: number): number => LEFT + ((RIGHT - LEFT) * value) / across.at(-1)!;
  const placeY = (value: number): number => BOTTOM - ((BOTTOM - TOP) * value) / up.at(-1)!;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(WIDTH)} ${String(HEIGHT)}" font-family="sans-serif" font-size="12">`,
    `<rect width="${String(WIDTH)}" height="${String(HEIGHT)}" fill="#fff"/>`,
    text((LEFT + RIGHT) / 2, 25, title, 'middle'),
    text((LEFT + RIGHT) / 2, HEIGHT - 12, x, 'middle'),
    text(LEFT, TOP - 10, y, 'middle'),
    ...across.map(value => text(placeX(value), BOTTOM + 18, String(value), 'middle')),
    ...up.flatMap(value => [
      `<path d="M${String(LEFT)} ${shown(placeY(value))}H${String(RIGHT)}" stroke="#ddd"/>`,
      text(LEFT - 8, placeY(value) + 4, String(value), 'end'),
    ]),
    ...lines.flatMap((line, number) => {
      const colour = COLOURS[number % COLOURS.length]!;
      const places = line.points.map(point => `${shown(placeX(point.x))},${shown(placeY(point.y))}`);
      const last = line.points.at(-1);
      if (last === undefined) return [];
      return [
        `<polyline points="${places.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        text(placeX(last.x) + 8, placeY(last.y) + 4, line.name, 'start'),
      ];
    }),
    '</svg>\n',
  ].join('\n');
}

/** Round numbers from zero to one that is not below `most`. */
function ticksUpTo(most: number): number[] {
  if (most <= 0) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(most / MOST_TICKS));
  const step = [...STEPS, 10].map(each => each * power).find(each => most / each <= MOST_TICKS)!;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(12)));
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return `<text x="${shown(x)}" y="${shown(y)}" text-anchor="${anchor}">${escaped}</text>`;
}

function shown(pixels: number): string {
  return String(Math.round(pixels * 10) / 10);
}
