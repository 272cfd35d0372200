import test from 'ava';
import fc from 'fast-check';
import { drawPlot } from '../../bench/plot.js';

const axes = { title: 'a < b & c', x: 'x', y: 'y' };

/** The places through which the lines go. */
function placesIn(svg: string): { x: number; y: number }[][] {
  return [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) =>
    points!.split(' ').map(pair => {
      const [x, y] = pair.split(',').map(Number);
      return { x: x!, y: y! };
    }),
  );
}

test('every point lies within the axes, more to the right and higher if it is more', t => {
  const amount = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.double({ min: 1e-3, max: 1e6, noNaN: true }));
  const points = fc.array(fc.record({ x: amount, y: amount }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(points, list => {
      const [line] = placesIn(drawPlot({ ...axes, lines: [{ name: 'line', points: list }] }));
      t.is(line?.length, list.length);
      for (const [at, place] of line!.entries()) {
        t.true(place.x >= 70 && place.x <= 510 && place.y >= 50 && place.y <= 310);
        for (const [other, { x, y }] of list.entries()) {
          if (x > list[at]!.x) t.true(line![other]!.x >= place.x);
          if (y > list[at]!.y) t.true(line![other]!.y <= place.y);
        }
      }
    }),
  );
});

test('what it says is text, and a line without points is left out', t => {
  const lines = [
    { name: '<one>', points: [{ x: 4, y: 19 }] },
    { name: 'two', points: [] },
  ];
  const svg = drawPlot({ ...axes, lines });
  t.true(svg.includes('>a &lt; b &amp; c<') && svg.includes('>&lt;one><'));
  t.false(svg.includes('two'));
  // The axes end at round numbers.
  t.true(svg.includes('>20<') && svg.includes('>4<'));
});
