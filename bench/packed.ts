import { fileURLToPath } from 'node:url';

const PACKED: Record<string, Promise<string>> = {};

/** The file of a script of this directory that is packed as the programs are, so that no compiler takes part in what is measured. */
export function packed(name: string): Promise<string> {
  return (PACKED[name] ??= pack(name));
}

async function pack(name: string): Promise<string> {
  const { build } = await import('esbuild');
  const outfile = fileURLToPath(new URL(`../dist/bench/${name}.mjs`, import.meta.url));
  await build({
    entryPoints: [fileURLToPath(new URL(`./${name}.ts`, import.meta.url))],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
  });
  return outfile;
}
