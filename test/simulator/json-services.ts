import { ServiceFault } from './fault.js';
import type { Place } from './state.js';

/* SSM and KMS: JSON 1.1, the operation in the header x-amz-target. */

type Given = Record<string, unknown>;

const OPERATIONS: Readonly<Record<string, (place: Place, given: Given) => object>> = {
  'AmazonSSM.GetParameter': (place, { Name }) => {
    const parameter = place.parameters.get(String(Name));
    if (parameter === undefined) throw new ServiceFault(400, 'ParameterNotFound', '');
    const { value, version } = parameter;
    return { Parameter: { Name, Value: value, Version: version, Type: 'String', DataType: 'aws:ec2:image' } };
  },
  'AmazonSSM.PutParameter': (place, { Name, Value, Overwrite, DataType }) => {
    const name = String(Name);
    if (!/^[A-Za-z0-9_./-]+$/.test(name)) {
      const message =
        'Parameter name: only a mix of letters, numbers and the following 3 symbols .-_ are allowed.';
      throw new ServiceFault(400, 'ValidationException', message);
    }
    const known = place.parameters.get(name);
    if (known !== undefined && Overwrite !== true) {
      throw new ServiceFault(400, 'ParameterAlreadyExists', 'The parameter already exists.');
    }
    const version = (known?.version ?? 0) + 1;
    // That there is such an image is looked at later, and nobody is told when there is none.
    const isGood = DataType !== 'aws:ec2:image' || place.images.has(String(Value));
    const history = [...(known?.history ?? []), String(Value)];
    if (isGood) place.parameters.set(name, { value: String(Value), version, history });
    return { Version: version, Tier: 'Standard' };
  },
  'AmazonSSM.DeleteParameter': (place, { Name }) => {
    if (!place.parameters.delete(String(Name))) throw new ServiceFault(400, 'ParameterNotFound', '');
    return {};
  },
  'AmazonSSM.DescribeParameters': (place, { MaxResults, NextToken }) => {
    const size = Number(MaxResults ?? 50);
    if (size > 50) throw new ServiceFault(400, 'ValidationException', 'MaxResults is more than 50');
    const names = [...place.parameters.keys()];
    const from = Number(NextToken ?? 0);
    const rest = from + size < names.length ? { NextToken: String(from + size) } : {};
    return { Parameters: names.slice(from, from + size).map(Name => ({ Name, Type: 'String' })), ...rest };
  },
  'AmazonSSM.GetParameters': (place, { Names }) => {
    const names = Names as string[];
    if (names.length > 10)
      throw new ServiceFault(400, 'ValidationException', 'Names has more than 10 members');
    const found = names.map(name => {
      const at = name.indexOf(':');
      const [plain, selector] = at < 0 ? [name, ''] : [name.slice(0, at), name.slice(at)];
      const parameter = place.parameters.get(plain);
      const value = selector === '' ? parameter?.value : parameter?.history?.[Number(selector.slice(1)) - 1];
      return value === undefined
        ? undefined
        : { Name: plain, Value: value, Type: 'String', ...(selector === '' ? {} : { Selector: selector }) };
    });
    return {
      Parameters: found.filter(each => each !== undefined),
      InvalidParameters: names.filter((_, at) => found[at] === undefined),
    };
  },
  'TrentService.DescribeKey': (place, { KeyId }) => {
    const key = place.findKey(String(KeyId));
    if (key === undefined)
      throw new ServiceFault(400, 'NotFoundException', `Key ${String(KeyId)} is not found`);
    const { arn, manager, state } = key;
    return { KeyMetadata: { Arn: arn, KeyId: arn.split('/').at(-1), KeyManager: manager, KeyState: state } };
  },
};

export function answerJson(place: Place, target: string, body: Buffer): object {
  const operation = OPERATIONS[target];
  if (operation === undefined) throw new ServiceFault(400, 'UnknownOperationException', target);
  return operation(place, JSON.parse(body.toString()) as Given);
}
