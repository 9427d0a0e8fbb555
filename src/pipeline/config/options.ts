import { z } from 'zod';
import { didYouMean } from '../closest.js';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** One option of a schema, as help texts, docs and `mesocast plugins` show it. */
export interface OptionInfo {
  /** camelCase, as in a config file. */
  readonly name: string;
  /** In words: "a whole number, at least 1". */
  readonly allowed: string;
  readonly description: string;
  /** Absent where there is none. */
  readonly default?: unknown;
  readonly required: boolean;
  /** What a command line makes of it. `array` has items of `item`. */
  readonly type: 'string' | 'number' | 'boolean' | 'array' | 'object';
  readonly item?: 'string' | 'number';
  /** The number of items, where it is fixed. */
  readonly length?: number;
  readonly choices?: readonly string[];
  /** Of a codec: what is read does not depend on it. An author says so with `.meta({ isForWriting: true })`. */
  readonly isForWriting?: true;
}

const schemaOf = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumeric = (schema: JsonSchema): boolean => {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.filter(isSchema).every(isNumeric);
  return schema.type === 'number' || schema.type === 'integer';
};

const bounds = ({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum }: JsonSchema): string => {
  const whole = type === 'integer';
  const words: string[] = [];
  if (minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER) words.push(`at least ${minimum}`);
  else if (typeof exclusiveMinimum === 'number')
    words.push(whole ? `at least ${exclusiveMinimum + 1}` : `above ${exclusiveMinimum}`);
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) words.push(`at most ${maximum}`);
  else if (typeof exclusiveMaximum === 'number')
    words.push(whole ? `at most ${exclusiveMaximum - 1}` : `below ${exclusiveMaximum}`);
  return words.length > 0 ? `, ${words.join(' and ')}` : '';
};

/** What a JSON schema lets through, in words. */
const describe = (schema: JsonSchema): string => {
  if (schema.enum) return schema.enum.map(String).join(' | ');
  if (schema.const !== undefined) return String(schema.const);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.filter(isSchema).map(describe).join(' or ');
  switch (schema.type) {
    case 'integer':
      return `a whole number${bounds(schema)}`;
    case 'number':
      return `a number${bounds(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return schema.format === 'uri' ? 'a URL' : 'text';
    case 'array': {
      if (schema.prefixItems)
        return `a list of ${schema.prefixItems.length}${isSchema(schema.items) ? ' or more' : ''}: ${schema.prefixItems.filter(isSchema).map(describe).join(', ')}`;
      return isSchema(schema.items) ? `a list, each ${describe(schema.items)}` : 'a list';
    }
    case 'object': {
      const keys = Object.keys(schema.properties ?? {});
      return keys.length > 0 ? `a mapping with ${keys.join(', ')}` : 'a mapping';
    }
    default:
      return 'anything';
  }
};

const flagType = (schema: JsonSchema): Pick<OptionInfo, 'type' | 'item' | 'length'> => {
  if (isNumeric(schema)) return { type: 'number' };
  if (schema.type === 'array') {
    const fixed = schema.prefixItems;
    const item = fixed?.find(isSchema) ?? (isSchema(schema.items) ? schema.items : {});
    return {
      type: 'array',
      item: isNumeric(item) ? 'number' : 'string',
      ...(fixed && { length: fixed.length }),
    };
  }
  return { type: schema.type === 'boolean' || schema.type === 'object' ? schema.type : 'string' };
};

/** The options of an object schema, in the order in which they are written. */
export const optionsOf = (schema: z.ZodObject): OptionInfo[] => {
  const json = schemaOf(schema);
  return Object.entries(json.properties ?? {})
    .filter((entry): entry is [string, JsonSchema] => isSchema(entry[1]))
    .map(([name, option]) => ({
      name,
      allowed: describe(option),
      description: option.description ?? '',
      ...(option.default !== undefined && { default: option.default }),
      required: json.required?.includes(name) === true && option.default === undefined,
      ...flagType(option),
      ...(option.enum && { choices: option.enum.map(String) }),
      ...(option.isForWriting === true && { isForWriting: true as const }),
    }));
};

/** forecastEvery -> forecast-every */
export const kebab = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );

/** The schemas that may apply at a path: more than one where there is a choice on the way. */
const schemasAt = (schema: JsonSchema, path: readonly PropertyKey[]): JsonSchema[] => {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.filter(isSchema).flatMap((choice) => schemasAt(choice, path));
  const [key, ...rest] = path;
  if (key === undefined) return [schema];
  const inner =
    typeof key === 'number'
      ? (schema.prefixItems?.[key] ?? schema.items)
      : (schema.properties?.[String(key)] ?? schema.additionalProperties);
  return isSchema(inner) && !Array.isArray(inner) ? schemasAt(inner, rest) : [];
};

/** sinks[0].options.format */
export const dotted = (path: readonly PropertyKey[]): string =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');

const show = (value: unknown): string => {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

/**
 * What is wrong with an input, one sentence for each problem: the key, what was given, what is allowed.
 * `nameOf` says how people know a key (default: its path).
 */
export const explain = (
  issues: readonly z.core.$ZodIssue[],
  schema: z.ZodType,
  input: unknown,
  nameOf: (path: readonly PropertyKey[]) => string = dotted,
): string[] => {
  const json = schemaOf(schema);
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const known = schemasAt(json, issue.path).flatMap((inner) => Object.keys(inner.properties ?? {}));
      return issue.keys.map(
        (key) => `${nameOf([...issue.path, key])} is not known: ${didYouMean(key, known)}`,
      );
    }
    const name = issue.path.length > 0 ? nameOf(issue.path) : 'the whole';
    const value = at(input, issue.path);
    const allowed = schemasAt(json, issue.path).map(describe);
    // A refinement and a pattern carry their own words; what a schema can say is said from the schema.
    const ownWords = issue.code === 'custom' || (issue.code === 'invalid_format' && issue.format === 'regex');
    const reason = ownWords || allowed.length === 0 ? issue.message : `allowed is ${allowed.join(' or ')}`;
    if (value === undefined)
      return [reason === 'allowed is text' ? `${name} is missing` : `${name} is missing: ${reason}`];
    return [`${name} is ${show(value)}: ${reason}`];
  });
};

/** Keys of `input` that an object schema does not have: zod's plain objects drop them silently. */
export const unknownKeys = (schema: z.ZodObject, input: unknown): string[] =>
  typeof input === 'object' && input !== null
    ? Object.keys(input).filter((key) => !Object.hasOwn(schema.shape, key))
    : [];
