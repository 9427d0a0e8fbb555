import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** One field of a protocol buffer message as it lies in the bytes; `value` without its tag and length. */
export interface Field {
  readonly no: number;
  readonly wire: WireType;
  readonly value: Uint8Array;
}

/** The fields of a message in their order. @throws RangeError or Error for bytes that are not one */
export const fieldsOf = (message: Uint8Array): Field[] => {
  const reader = new BinaryReader(message);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [no, wire] = reader.tag();
    const value = wire === WireType.LengthDelimited ? reader.bytes() : reader.skip(wire);
    fields.push({ no, wire, value });
  }
  return fields;
};

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** All values of a repeated message, bytes or string field. */
export const partsOf = (fields: readonly Field[], no: number): Uint8Array[] =>
  fields
    .filter((field) => field.no === no && field.wire === WireType.LengthDelimited)
    .map(({ value }) => value);

/** The last value of a string field; "" where it is not set. */
export const stringOf = (fields: readonly Field[], no: number): string =>
  textOf(partsOf(fields, no).at(-1) ?? new Uint8Array());

/** The last value of an integer field; undefined where it is not set. */
export const numberOf = (fields: readonly Field[], no: number): number | undefined => {
  const last = fields.filter((field) => field.no === no && field.wire === WireType.Varint).at(-1);
  return last === undefined ? undefined : Number(new BinaryReader(last.value).int64());
};

/** What becomes of a field's value, by its number; undefined drops the field. Others stay as they are. */
export type Edits = Readonly<Record<number, (value: Uint8Array) => Uint8Array | undefined>>;

/** A message with some of its fields edited, and bytes of more fields behind them. */
export const edited = (
  message: Uint8Array,
  edits: Edits,
  more: Uint8Array = new Uint8Array(),
): Uint8Array => {
  const writer = new BinaryWriter();
  for (const { no, wire, value } of fieldsOf(message)) {
    const edit = edits[no];
    const kept = edit === undefined ? value : edit(value);
    if (kept === undefined) continue;
    writer.tag(no, wire);
    if (wire === WireType.LengthDelimited) writer.bytes(kept);
    else writer.raw(kept);
  }
  return writer.raw(more).finish();
};
