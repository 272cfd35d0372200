/*
 * Who may import what. A folder of src imports itself and the folders before it in `FOLDERS`; the module
 * that loads the addon stands beside them. What has one place in the tree is imported there only.
 */
import { dirname, relative, resolve } from 'node:path';

const FOLDERS = [
  'image',
  'source',
  'store',
  'volume',
  'cloud',
  'rpc',
  'imageserver',
  'unpacker',
  'publisher',
  'cli',
];

/** What a folder may not import although it comes before it. */
const APART = { publisher: ['volume', 'unpacker'] };

const ADDON_MODULE = 'native.ts';
const MAY_IMPORT_ADDON_MODULE = ['source', 'store', 'volume', 'rpc', 'unpacker', 'cli'];
const ADDON_MODULE_MAY_IMPORT = ['image'];

/** Packages, by the start of their name, and the only files that import them. */
const PACKAGES = [
  { name: /^fs-ext$/, files: /^store\/lock\.ts$/ },
  { name: /^@(aws-sdk|smithy)\//, files: /^(cloud\/aws|store\/s3)(\/|\.|-)/ },
  { name: /^(node:)?process$/, files: /^cli\// },
];

const messages = {
  folder: '{{from}} must not import {{to}}: {{why}}.',
  package: '{{name}} is imported in {{files}} only.',
  addon: 'The addon is loaded in src/native.ts only.',
  name: 'A file is named after what it does; "{{name}}" says nothing.',
};

/** The folder of src that a file (relative to src) is in, or the file itself beside the folders. */
function partOf(path) {
  return path.split('/')[0];
}

/** What is wrong with `from` importing `to`, both parts of src, if anything is. */
function faultOf(from, to) {
  if (from === to) return undefined;
  if (to === ADDON_MODULE) {
    return MAY_IMPORT_ADDON_MODULE.includes(from) ? undefined : 'it has nothing to do with the system';
  }
  if (from === ADDON_MODULE) {
    return ADDON_MODULE_MAY_IMPORT.includes(to) ? undefined : 'it only types the addon';
  }
  if (!FOLDERS.includes(from) || !FOLDERS.includes(to))
    return 'the folders of src are listed in eslint.imports.js';
  if (APART[from]?.includes(to)) return 'it is given what it needs of it';
  return FOLDERS.indexOf(to) < FOLDERS.indexOf(from)
    ? undefined
    : 'it comes after it in the way the data goes';
}

function checkImport(context, path, node) {
  const name = importedName(node);
  if (name === undefined) return;
  const rule = PACKAGES.find(each => each.name.test(name));
  if (rule !== undefined && !rule.files.test(path)) {
    context.report({ node, messageId: 'package', data: { name, files: String(rule.files) } });
  }
  if (!name.startsWith('.')) return;
  const target = relative(resolve(context.cwd, 'src'), resolve(dirname(context.filename), name));
  if (target.startsWith('..')) return;
  const [from, to] = [partOf(path), partOf(target.replace(/\.js$/, '.ts'))];
  const why = faultOf(from, to);
  if (why !== undefined) context.report({ node, messageId: 'folder', data: { from, to, why } });
}

/** The name that an import, an export from, an import() or a require() gives, if it is a plain string. */
function importedName(node) {
  const source = node.type === 'CallExpression' ? node.arguments[0] : node.source;
  return typeof source?.value === 'string' ? source.value : undefined;
}

function create(context) {
  const file = relative(context.cwd, context.filename);
  const checkName = node => {
    const bad = /(?:^|[/-])(utils?)(?:[/.-])/.exec(file);
    if (bad !== null) context.report({ node, messageId: 'name', data: { name: bad[1] } });
  };
  if (!file.startsWith('src/')) return { Program: checkName };
  const path = file.slice('src/'.length);
  const check = node => checkImport(context, path, node);
  return {
    Program: checkName,
    Literal(node) {
      const loads = typeof node.value === 'string' && /^#addon$|\.node$/.test(node.value);
      if (loads && path !== ADDON_MODULE) context.report({ node, messageId: 'addon' });
    },
    ImportDeclaration: check,
    ExportNamedDeclaration: check,
    ExportAllDeclaration: check,
    ImportExpression: check,
    TSImportType: check,
    'CallExpression[callee.name="require"]': check,
  };
}

export const importRule = { meta: { type: 'problem', schema: [], messages }, create };
