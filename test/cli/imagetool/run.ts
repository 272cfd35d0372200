import { EventEmitter } from 'node:events';
import { imagetool } from '../../../src/cli/imagetool/program.js';
import { runProgram } from '../../../src/cli/program.js';
import { Recorder } from '../run.js';

export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs imagetool in this process, to its end. */
export async function imagetoolOn(store: string | undefined, ...parameters: string[]): Promise<Ran> {
  const [out, err] = [new Recorder(), new Recorder()];
  const environment = store === undefined ? {} : { IMAGE_STORE: store };
  const program = { ...imagetool, version: '1.2.3' };
  const code = await runProgram(program, { parameters, environment, out, err, events: new EventEmitter() });
  return { code, out: out.text, err: err.text };
}

/** What imagetool prints as JSON. Throws when it does not end with `code`. */
export async function json(store: string, code: number, ...parameters: string[]): Promise<unknown> {
  const ran = await imagetoolOn(store, ...parameters, '--json');
  if (ran.code !== code) throw new Error(`imagetool ended with ${String(ran.code)}: ${ran.out}${ran.err}`);
  return JSON.parse(ran.out);
}
