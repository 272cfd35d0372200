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
    const known = place.parameters.get(name);
    if (known !== undefined && Overwrite !== true) {
      throw new ServiceFault(400, 'ParameterAlreadyExists', 'The parameter already exists.');
    }
    const version = (known?.version ?? 0) + 1;
    // That there is such an image is looked at later, and nobody is told when there is none.
    const isGood = DataType !== 'aws:ec2:image' || place.images.has(String(Value));
    if (isGood) place.parameters.set(name, { value: String(Value), version });
    return { Version: version, Tier: 'Standard' };
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
