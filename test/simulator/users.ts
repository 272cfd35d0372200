import { ServiceFault } from './fault.js';
import type { Place } from './state.js';
import type { Xml } from './xml.js';
import { set, text } from './xml.js';

/*
 * What uses images in an account and region: machines, launch templates, groups and configurations of Auto Scaling; and
 * what EC2 and Auto Scaling answer of them. Pages are as long as is asked for, and now and then one is empty.
 */

export interface UserInstance {
  id: string;
  imageId: string;
  state: string;
  launchedAt: number;
  tags?: Record<string, string>;
}

export interface UserTemplate {
  id: string;
  name: string;
  /** The images of its versions, from 1 on; undefined for one that was deleted. */
  versions: (string | undefined)[];
  default: number;
}

export interface UserSpecification {
  id?: string;
  name?: string;
  version?: string;
}

export interface UserGroup {
  name: string;
  template?: UserSpecification;
  mixed?: { template: UserSpecification; overrides: { template?: UserSpecification; imageId?: string }[] };
}

/** What an account and region has that may use images. */
export interface Users {
  instances: UserInstance[];
  templates: UserTemplate[];
  groups: UserGroup[];
  configurations: { name: string; imageId: string }[];
}

const USERS = new WeakMap<Place, Users>();

export function usersOf(place: Place): Users {
  const users = USERS.get(place) ?? { instances: [], templates: [], groups: [], configurations: [] };
  USERS.set(place, users);
  return users;
}

type Form = URLSearchParams;

/** A page of a list, and the token of the next; the first of more than one is empty, as EC2's may be. */
function page<T>(
  form: Form,
  all: readonly T[],
  sizeKey: string,
): { items: readonly T[]; next: string | undefined } {
  const size = Number(form.get(sizeKey) ?? 1000);
  const token = form.get('NextToken');
  if (token === null && all.length > size) return { items: [], next: '0' };
  const from = Number(token ?? 0);
  const to = from + size;
  return { items: all.slice(from, to), next: to < all.length ? String(to) : undefined };
}

function listOf(form: Form, name: string): string[] {
  const values: string[] = [];
  for (let at = 1; form.has(`${name}.${String(at)}`); at++) values.push(form.get(`${name}.${String(at)}`)!);
  return values;
}

function filterOf(form: Form, name: string): string[] | undefined {
  for (let at = 1; form.has(`Filter.${String(at)}.Name`); at++) {
    if (form.get(`Filter.${String(at)}.Name`) === name) return listOf(form, `Filter.${String(at)}.Value`);
  }
  return undefined;
}

function instanceXml({ id, imageId, state, launchedAt, tags = {} }: UserInstance): Xml {
  const pairs = Object.entries(tags).map(([key, value]) => text('key', key) + text('value', value));
  return [
    text('instanceId', id),
    text('imageId', imageId),
    `<instanceState><code>16</code>${text('name', state)}</instanceState>`,
    text('launchTime', new Date(launchedAt).toISOString()),
    set('tagSet', pairs),
  ].join('');
}

function versionXml(template: UserTemplate, number: number): Xml {
  return [
    text('launchTemplateId', template.id),
    text('launchTemplateName', template.name),
    text('versionNumber', String(number)),
    text('defaultVersion', String(number === template.default)),
    `<launchTemplateData>${text('imageId', template.versions[number - 1])}</launchTemplateData>`,
  ].join('');
}

function numbersOf(template: UserTemplate, asked: readonly string[]): number[] {
  const there = template.versions.flatMap((image, at) => (image === undefined ? [] : [at + 1]));
  if (asked.length === 0) return there;
  const numbers = asked.map(each =>
    each === '$Latest' ? Math.max(...there) : each === '$Default' ? template.default : Number(each),
  );
  const gone = numbers.find(number => !there.includes(number));
  if (gone !== undefined) {
    const message = `Could not find the specified version ${String(gone)} for the launch template with ID ${template.id}.`;
    throw new ServiceFault(400, 'InvalidLaunchTemplateId.VersionNotFound', message);
  }
  return [...new Set(numbers)];
}

/** What EC2 answers of machines and launch templates. */
export const USER_OPERATIONS: Readonly<Record<string, (place: Place, form: Form) => Xml>> = {
  DescribeInstances: (place, form) => {
    const [images, states] = [filterOf(form, 'image-id'), filterOf(form, 'instance-state-name')];
    if ((images?.length ?? 0) > 200) throw new ServiceFault(400, 'FilterLimitExceeded', 'Too many values');
    const found = usersOf(place).instances.filter(
      ({ imageId, state }) => (images?.includes(imageId) ?? true) && (states?.includes(state) ?? true),
    );
    const { items, next } = page(form, found, 'MaxResults');
    const reservations = items.map(instance => set('instancesSet', [instanceXml(instance)]));
    return set('reservationSet', reservations) + text('nextToken', next);
  },
  DescribeLaunchTemplates: (place, form) => {
    const { items, next } = page(form, usersOf(place).templates, 'MaxResults');
    const templates = items.map(
      ({ id, name }) => text('launchTemplateId', id) + text('launchTemplateName', name),
    );
    return set('launchTemplates', templates) + text('nextToken', next);
  },
  DescribeLaunchTemplateVersions: (place, form) => {
    const [id, name] = [form.get('LaunchTemplateId'), form.get('LaunchTemplateName')];
    const asked = listOf(form, 'LaunchTemplateVersion');
    const isAll = id === null && name === null;
    if (isAll && asked.some(each => /^\d/.test(each))) {
      const message = 'When the launch template is not specified, only $Latest and $Default are supported.';
      throw new ServiceFault(400, 'InvalidParameterValue', message);
    }
    const templates = usersOf(place).templates.filter(
      template => isAll || template.id === id || template.name === name,
    );
    if (!isAll && templates.length === 0) {
      throw new ServiceFault(
        400,
        'InvalidLaunchTemplateId.NotFound',
        `There is no launch template ${id ?? name!}`,
      );
    }
    const versions = templates.flatMap(template =>
      numbersOf(template, asked).map(number => versionXml(template, number)),
    );
    const { items, next } = page(form, versions, 'MaxResults');
    return set('launchTemplateVersionSet', items) + text('nextToken', next);
  },
};

function members(name: string, items: readonly Xml[]): Xml {
  return `<${name}>${items.map(item => `<member>${item}</member>`).join('')}</${name}>`;
}

function specificationXml(name: string, specification: UserSpecification | undefined): Xml {
  if (specification === undefined) return '';
  const { id, name: called, version } = specification;
  const content =
    text('LaunchTemplateId', id) + text('LaunchTemplateName', called) + text('Version', version);
  return `<${name}>${content}</${name}>`;
}

function groupXml({ name, template, mixed }: UserGroup): Xml {
  const overrides = (mixed?.overrides ?? []).map(
    override =>
      specificationXml('LaunchTemplateSpecification', override.template) + text('ImageId', override.imageId),
  );
  const policy =
    mixed === undefined
      ? ''
      : `<MixedInstancesPolicy><LaunchTemplate>${specificationXml('LaunchTemplateSpecification', mixed.template)}${members('Overrides', overrides)}</LaunchTemplate></MixedInstancesPolicy>`;
  return text('AutoScalingGroupName', name) + specificationXml('LaunchTemplate', template) + policy;
}

/** What Auto Scaling answers (query protocol, version 2011-01-01): lists of members, in a result of the operation's name. */
export function answerAutoScaling(place: Place, form: Form): Xml {
  const { groups, configurations } = usersOf(place);
  const action = form.get('Action') ?? '';
  if (action === 'DescribeAutoScalingGroups') {
    const { items, next } = page(form, groups, 'MaxRecords');
    return members('AutoScalingGroups', items.map(groupXml)) + text('NextToken', next);
  }
  if (action === 'DescribeLaunchConfigurations') {
    const { items, next } = page(form, configurations, 'MaxRecords');
    const found = items.map(
      ({ name, imageId }) => text('LaunchConfigurationName', name) + text('ImageId', imageId),
    );
    return members('LaunchConfigurations', found) + text('NextToken', next);
  }
  throw new ServiceFault(400, 'InvalidAction', `The action ${action} is not valid for this web service.`);
}
