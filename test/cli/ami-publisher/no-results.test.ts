import { EventEmitter } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { amiPublisher } from '../../../src/cli/ami-publisher/program.js';
import { runProgram } from '../../../src/cli/program.js';
import { temporaryDirectory } from '../../temporary-directory.js';
import { Recorder } from '../run.js';

const ROW = { Target: 'local:/none', Error: 'it failed' };

for (const [command, ...more] of [
  ['verify'],
  ['promote'],
  ['promote', '--back'],
  ['set-exclusive-tags', 'k', 'v'],
]) {
  test(`results that name no image are nothing to ${[command, ...more].join(' ')}`, async t => {
    const file = join(temporaryDirectory(t), 'results.json');
    writeFileSync(file, JSON.stringify([ROW]));
    const [out, err, events] = [new Recorder(), new Recorder(), new EventEmitter()];
    const parameters = [command!, ...more, file];
    const program = { ...amiPublisher, version: '0' };
    t.is(await runProgram(program, { parameters, environment: {}, out, err, events }), 1);
    t.regex(err.text, /No image is named in .*results\.json: nothing was published there/);
    t.is(out.text, '');
  });
}
