/**
 * @file The header of a safetensors file (https://github.com/huggingface/safetensors#format): 8 bytes with its
 * length N (unsigned, little-endian), then N bytes of JSON, then the data, which the header's `data_offsets` cover
 * without gap or overlap. Other headers are refused before any memory is allocated for them.
 */
import { messageOf, XPromptError } from "../errors.ts";
import { product } from "../numbers.ts";

/** Bytes per value of each type, in the reference library's order of layout. */
const bytesOf = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** The type of a tensor's values. */
export type Dtype = keyof typeof bytesOf;

export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Offset in bytes from the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface Header {
  /** The tensors by name, in the order of their data. */
  readonly tensors: Map<string, TensorInfo>;
  /** The file's `__metadata__`: free text by key. */
  readonly metadata: Record<string, string>;
}

/** Bytes before the header's JSON. */
export const prefixLength = 8;
/** The reference library's limit, so that a damaged length cannot allocate all memory. */
const maxHeaderLength = 100_000_000;
/** More than any model has; checking more would take seconds. */
const maxTensors = 100_000;
const metadataKey = "__metadata__";
const utf8 = new TextEncoder();
const SPACE = 0x20;

/**
 * The length of the JSON, from the first 8 bytes of a file of `fileLength` bytes.
 * @throws XPromptError when the file cannot hold such a header.
 */
export function parseHeaderLength(prefix: Uint8Array, fileLength: number, doing: string): number {
  if (prefix.length < prefixLength) {
    throw new XPromptError(
      `${doing}: expected 8 bytes or more, got ${prefix.length} (the file is cut off; copy it again)`,
    );
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > maxHeaderLength)
    throw new XPromptError(
      `${doing}: expected a safetensors file, such as a .xprompt, got another kind of file (use another)`,
    );
  if (length > fileLength - prefixLength)
    throw new XPromptError(
      `${doing}: expected a header of at most ${fileLength - prefixLength} bytes, got one of ${length} ` +
        "(the file is cut off, or not a safetensors file)",
    );
  return Number(length);
}

/**
 * Parses the JSON of a header and checks it against the length of the file.
 * @throws XPromptError with the first mistake
 */
export function parseHeader(json: Uint8Array, fileLength: number, doing: string): Header {
  const entries = parseObject(json, doing);
  const metadata = parseMetadata(entries[metadataKey] ?? {}, doing);
  const dataStart = prefixLength + json.length;
  const tensors = Object.entries(entries)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => parseTensor(name, entry, dataStart, doing))
    .sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);

  let end = dataStart;
  for (const [name, { byteOffset, byteLength }] of tensors) {
    if (byteOffset !== end) {
      throw new XPromptError(
        `${doing}: tensor ${quote(name)}: expected data at byte ${end - dataStart}, where the tensor before it ` +
          `ends, got ${byteOffset - dataStart} (${byteOffset < end ? "they overlap" : "a gap"}; the file is broken)`,
      );
    }
    end += byteLength;
  }
  if (end !== fileLength) {
    const advice = end > fileLength ? "the file is cut off; copy it again" : "the file is broken";
    throw new XPromptError(`${doing}: expected a file of ${end} bytes, got ${fileLength} (${advice})`);
  }
  return { tensors: new Map(tensors), metadata };
}

/**
 * The bytes of a header: its length, then each tensor with its offsets in the data.
 * @param alignment the data begins at a multiple of it; the header is padded with spaces
 */
export function buildHeader(
  tensors: readonly { name: string; dtype: Dtype; shape: readonly number[] }[],
  metadata: Readonly<Record<string, string>>,
  alignment = 8,
): Uint8Array {
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) {
    entries.push([
      metadataKey,
      Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => compareText(a, b))),
    ]);
  }
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const start = end;
    end += byteLengthOf(dtype, shape);
    entries.push([name, { dtype, shape, data_offsets: [start, end] }]);
  }
  // Joined manually, because an object would put numeric names first.
  const json = `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(",")}}`;
  const text = utf8.encode(json);
  const length = Math.ceil((prefixLength + text.length) / alignment) * alignment - prefixLength;
  const bytes = new Uint8Array(prefixLength + length).fill(SPACE);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, prefixLength);
  return bytes;
}

/** The byte length of a tensor; not a safe integer if the shape is larger than any file. */
export function byteLengthOf(dtype: Dtype, shape: readonly number[]): number {
  return bytesOf[dtype] * product(shape);
}

/** The order in a file: widest types first, as in the reference library (which aligns all), then by name. */
export function compareForLayout(
  a: { name: string; dtype: Dtype },
  b: { name: string; dtype: Dtype },
): number {
  const order = Object.keys(bytesOf);
  return order.indexOf(b.dtype) - order.indexOf(a.dtype) || compareText(a.name, b.name);
}

/** Data with this alignment can be used in a memory-mapped file without a copy. */
export const MAPPED_ALIGNMENT = 64;

/**
 * An order that aligns the most tensors to `MAPPED_ALIGNMENT` without gaps: first those whose length is a multiple of
 * it, then of half of it, and so on. Every tensor is aligned for its own type.
 */
export function compareForMapping(
  a: { name: string; dtype: Dtype; shape: readonly number[] },
  b: { name: string; dtype: Dtype; shape: readonly number[] },
): number {
  const alignment = ({ dtype, shape }: typeof a) => {
    const length = byteLengthOf(dtype, shape);
    let size = MAPPED_ALIGNMENT;
    while (length % size !== 0) size /= 2;
    return size;
  };
  return alignment(b) - alignment(a) || compareForLayout(a, b);
}

/** By UTF-8 bytes, as the reference library compares; JavaScript's own order differs beyond U+FFFF. */
function compareText(a: string, b: string): number {
  const [left, right] = [utf8.encode(a), utf8.encode(b)];
  const differing = left.findIndex((byte, i) => byte !== right[i]);
  if (differing < 0) return left.length - right.length;
  return left[differing]! - (right[differing] ?? -1);
}

function parseObject(json: Uint8Array, doing: string): Record<string, unknown> {
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
    scanObjects(text);
    value = JSON.parse(text);
  } catch (error) {
    throw new XPromptError(`${doing}: expected a JSON header, got: ${messageOf(error)} (the file is broken)`);
  }
  if (!isObject(value)) {
    throw new XPromptError(
      `${doing}: expected a JSON object as header, got ${kindOf(value)} (the file is broken)`,
    );
  }
  return value;
}

/**
 * Refuses three things that `JSON.parse` accepts: a duplicate key in an object (it keeps the last), and deeper nesting or
 * more tensors than any header has (they would fill the memory). Looks at strings and brackets only; `JSON.parse` checks
 * the rest.
 */
function scanObjects(text: string): void {
  /** The keys of each open object; none for a list. */
  const open: (Set<string> | undefined)[] = [];
  let tensors = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{" || char === "[") {
      const depth = open.push(char === "{" ? new Set() : undefined);
      if (depth > 3) throw new SyntaxError("brackets nested more than 3 deep");
      if (depth === 2 && ++tensors > maxTensors) throw new SyntaxError(`more than ${maxTensors} tensors`);
    } else if (char === "}" || char === "]") {
      open.pop();
    } else if (char === '"') {
      const start = i++;
      while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      let next = i + 1;
      while (next < text.length && " \t\r\n".includes(text[next]!)) next++;
      if (text[next] !== ":") continue;
      const key: string = JSON.parse(text.slice(start, i + 1));
      const keys = open.at(-1);
      if (keys?.has(key)) throw new SyntaxError(`${quote(key)} twice`);
      keys?.add(key);
    }
  }
}

function parseMetadata(value: unknown, doing: string): Record<string, string> {
  if (isObject(value) && Object.values(value).every((text) => typeof text === "string")) {
    return value as Record<string, string>;
  }
  throw new XPromptError(
    `${doing}: expected only texts in ${metadataKey}, got other values (the file is broken)`,
  );
}

function parseTensor(name: string, entry: unknown, dataStart: number, doing: string): [string, TensorInfo] {
  const refuse = (expected: string, got: unknown): never => {
    const shown = quote(got);
    throw new XPromptError(
      `${doing}: tensor ${quote(name)}: expected ${expected}, got ${shown} (the file is broken)`,
    );
  };
  if (name.includes("\0")) refuse("a name without NUL", name);
  if (!isObject(entry)) return refuse("an object that describes it", entry);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) return refuse(`a dtype of ${Object.keys(bytesOf).join(", ")}`, dtype);
  if (!isSizes(shape)) return refuse("a shape of whole numbers from 0", shape);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return refuse("data_offsets of two whole numbers, start and end", offsets);
  }
  const byteLength = offsets[1]! - offsets[0]!;
  const needed = byteLengthOf(dtype, shape);
  if (byteLength !== needed) return refuse(`${needed} bytes for ${dtype} [${shape.join(", ")}]`, byteLength);
  return [name, { dtype, shape, byteOffset: dataStart + offsets[0]!, byteLength }];
}

/** A value as JSON, short enough for an error of one line. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "an array" : value === null ? "null" : `a ${typeof value}`;
}

function isDtype(value: unknown): value is Dtype {
  return typeof value === "string" && Object.hasOwn(bytesOf, value);
}

/** Safe integers from 0. */
function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
