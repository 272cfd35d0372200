import { createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptors } from './gen/descriptors.js';

/** All that proto/ says. */
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(descriptors, 'base64')));

/** The encoded description of a file of proto/, which imports no other. */
export function describeFile(name: string): Buffer | undefined {
  const file = registry.getFile(name);
  return file === undefined ? undefined : encode(file.proto);
}

/** The encoded description of the file that has a service, a method or a message of that full name. */
export function describeSymbol(name: string): Buffer | undefined {
  const parent = name.slice(0, Math.max(name.lastIndexOf('.'), 0));
  const found = registry.get(name) ?? registry.getService(parent);
  return found === undefined ? undefined : encode(found.file.proto);
}

function encode(file: FileDescriptorProto): Buffer {
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file));
}
