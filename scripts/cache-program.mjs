// Runs a packed program, and keeps beside it what V8 has made of it until its end: `cache-program.mjs FILE.cjs ARGUMENT…`.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , path] = process.argv;
const { compilePacked, runPacked } = await import(pathToFileURL(join(dirname(path), 'load-program.js')).href);
process.argv.splice(1, 1);
const program = compilePacked(path);
process.on('exit', () => {
  writeFileSync(
    path.replace(/\.cjs$/, '.cache'),
    Buffer.concat([program.digest, program.script.createCachedData()]),
  );
});
runPacked(program);
