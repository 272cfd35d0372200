import { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { runProgram } from '../../src/cli/program.js';
import { begun, commands } from './fixture/commands.js';

/** A stream that keeps what is written to it. */
export class Recorder {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 80;

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string, done: (error?: Error | null) => void): void {
    this.text += text;
    done();
  }
}

/** The fixture program run in this process. */
export function start(parameters: string[], environment: Record<string, string> = {}, isTTY = false) {
  const [out, err, events] = [new Recorder(), new Recorder(isTTY), new EventEmitter()];
  const program = { name: 'fixture', description: 'A program for tests.', version: '1.2.3', commands };
  const ended = runProgram(program, { parameters, environment, out, err, events });
  return { out, err, events, ended };
}

/** Starts the command that waits, and resolves once it does. */
export async function startWaiting(parameters: string[] = [], isTTY = false) {
  const before = begun.count;
  const started = start(['wait', ...parameters], {}, isTTY);
  while (begun.count === before) await setTimeout(1);
  return started;
}

/** Runs the fixture program to its end. */
export async function run(parameters: string[], environment: Record<string, string> = {}) {
  const { out, err, ended } = start(parameters, environment);
  return { code: await ended, out: out.text, err: err.text };
}
