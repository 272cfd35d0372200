import { spawn } from 'node:child_process';
import test from 'ava';
import { connectUnpacker } from '../../src/rpc/unpacker-client.js';
import { Screen } from '../model/screen.js';
import { Shop } from './publish-fixture.js';

/*
 * Publishing at a terminal, which is a pseudo-terminal of script(1).
 */

const COLUMNS = 72;

/** What became of a program at a terminal: its exit code, and what the terminal shows in the end. */
interface Session {
  code: number | null;
  lines: string[];
}

/** Runs a program at a terminal. `watch` is told what it shows, and returns what is typed then. */
async function atTerminal(
  program: string[],
  watch: (lines: string[]) => string | undefined,
): Promise<Session> {
  const line = program.map(each => `'${each}'`).join(' ');
  const command = `stty cols ${String(COLUMNS)} rows 20; exec ${line}`;
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>(resolve => child.on('close', resolve));
  const screen = new Screen(COLUMNS);
  child.stdout.setEncoding('utf8');
  for await (const text of child.stdout as AsyncIterable<string>) {
    // Several drawings may come at once.
    for (const drawn of text.split(/(?<=\x1b\[\?7h)/)) {
      screen.write(drawn);
      const typed = watch(screen.lines);
      if (typed !== undefined) child.stdin.write(typed);
    }
  }
  return { code: await ended, lines: screen.lines };
}

test('a terminal shows a table of the targets, and only the result when it is done', async t => {
  const shop = new Shop(t);
  shop.publishTo('{ local: raw }', '{ local: a-directory-with-a-long-name, format: qcow2 }');
  const frames: string[] = [];
  const { code, lines } = await atTerminal(['bin/ami-publisher', ...shop.publishing(1)], shown => {
    frames.push(shown.join('\n'));
    return undefined;
  });
  t.is(code, 0, lines.join('\n'));
  const tables = frames.filter(frame => /^TARGET +STAGE +DONE/m.test(frame));
  t.true(tables.length > 0);
  for (const word of ['capturing', 'writing the disk', 'published']) {
    t.true(
      tables.some(table => new RegExp(`raw +${word}`).test(table)),
      word,
    );
  }
  t.true(
    tables.every(table => table.split('\n').every(line => line.length < COLUMNS || line.startsWith('Run'))),
  );
  t.is(lines.filter(line => line.startsWith('TARGET')).length, 1, lines.join('\n'));
  t.false(
    lines.some(line => line.includes('STAGE')),
    lines.join('\n'),
  );
});

test('Ctrl-C at a terminal ends in order, leaves the terminal clean and says how to go on', async t => {
  const shop = new Shop(t);
  const { address } = await shop.startAgent();
  const [published] = shop.publish(1, '--unpacker', address);
  // Whoever holds the volume keeps the publisher waiting, for as long as it takes.
  const client = await connectUnpacker(address);
  const capture = await client.capture('os/small', published!.ImageDigest);
  shop.publishTo('{ local: other }');
  let typed = false;
  const program = ['bin/ami-publisher', ...shop.publishing(1, '--unpacker', address)];
  const { code, lines } = await atTerminal(program, shown => {
    if (typed || !shown.some(line => line.startsWith('TARGET'))) return undefined;
    typed = true;
    return '\x03';
  });
  await capture.close();
  await client.close();
  t.is(code, 130, lines.join('\n'));
  const { Run: run, State: state } = shop.runs().at(-1)!;
  t.is(state, 'interrupted');
  t.false(
    lines.some(line => line.startsWith('TARGET')),
    lines.join('\n'),
  );
  t.true(lines.join('').includes(`resume ${run} goes on`), lines.join('\n'));
});
