/**
 * @file Reads PyTorch checkpoints. Since version 1.6 `torch.save` writes a zip with a pickle (`data.pkl`), which maps
 * tensors to storages, and the raw storages (`data/0`, `data/1`, …). The pickle can call only functions that rebuild
 * tensors (`pickle.ts`). Opening a file does not read its storages; each tensor is then one read of its own range.
 */
import { XPromptError } from "../errors.ts";
import { product } from "../numbers.ts";
import { describe, Opaque, PickleGlobal, PickleObject, type PickleValue, unpickle } from "./pickle.ts";
import { PyTorchArchive } from "./pytorch-archive.ts";
import { type StoredTensor, toFloat32 } from "./safetensors.ts";
import { byteLengthOf, type Dtype, quote } from "./safetensors-header.ts";

/** The most values of a tensor. */
const maxElements = 2 ** 31;

/** Storage classes, and the types of their values. */
const storageTypes: Readonly<Record<string, Dtype>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** A range of values in the file, shared by tensors. */
class Storage extends PickleObject {
  readonly kind = "storage";
  constructor(
    readonly key: string,
    readonly dtype: Dtype,
    /** Number of values. */
    readonly length: number,
  ) {
    super();
  }
}

/** A tensor's values in a storage; offset and strides are counted in values. */
class View extends PickleObject {
  readonly kind = "tensor";
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {
    super();
  }
  get dtype(): Dtype {
    return this.storage.dtype;
  }
}

/** A PyTorch checkpoint, open for reading. */
export class PyTorchFile {
  private constructor(
    readonly path: string,
    /** The tensors of the state dictionary by name, in its order. */
    readonly tensors: ReadonlyMap<string, { readonly dtype: Dtype; readonly shape: readonly number[] }>,
    private readonly views: ReadonlyMap<string, View>,
    private readonly archive: PyTorchArchive,
  ) {}

  /**
   * Opens a checkpoint: a dictionary of tensors by name, or one with such a dictionary as `state_dict` (PyTorch
   * Lightning); its other entries are ignored. Everything except the tensors' values is read and checked.
   * @throws XPromptError when it cannot be read, is incomplete, or needs code to be run
   */
  static async open(path: string): Promise<PyTorchFile> {
    const doing = `reading checkpoint ${path}`;
    const archive = await PyTorchArchive.open(path, doing);
    try {
      const views = tensorsOf(unpickle(await archive.read("data.pkl"), reader(doing), doing), doing);
      for (const { key, dtype, length } of new Set([...views.values()].map(({ storage }) => storage)))
        archive.check(`data/${key}`, byteLengthOf(dtype, [length]));
      return new PyTorchFile(path, views, views, archive);
    } catch (error) {
      await archive.close();
      throw error;
    }
  }

  /**
   * One tensor, row-major and little-endian.
   * @throws XPromptError when there is no such tensor, or the file has changed
   */
  async read(name: string): Promise<StoredTensor> {
    const view = this.views.get(name);
    if (!view)
      throw new XPromptError(
        `reading tensor ${quote(name)} of ${this.path}: expected it in the file, got ${this.views.size} others (another model?)`,
      );
    const { storage, dtype, shape, strides, offset } = view;
    if (shape.includes(0)) return { dtype, shape, bytes: new Uint8Array(0) };
    const width = byteLengthOf(dtype, []);
    const length = (extent(shape, strides) + 1) * width;
    const span = await this.archive.read(`data/${storage.key}`, offset * width, length);
    const bytes = isContiguous(shape, strides) ? span : gather(span, shape, strides, width);
    if (this.archive.isBigEndian) swapBytes(bytes, width);
    return { dtype, shape, bytes };
  }

  /**
   * The values of a tensor of 32- or 16-bit floats, row-major.
   * @throws XPromptError as `read`, or when it has another type
   */
  async readFloat32(name: string): Promise<Float32Array<ArrayBuffer>> {
    return toFloat32(await this.read(name), `reading tensor ${quote(name)} of ${this.path}`);
  }

  /** Closes the file. `tensors` stays valid. */
  async close(): Promise<void> {
    await this.archive.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The names that the pickle of a checkpoint may use: storage classes, ordered dictionaries, and rebuilding a tensor. */
function reader(doing: string) {
  const refuse = (expected: string, got: string): never => {
    throw new XPromptError(`${doing}: expected ${expected}, got ${got} (the file is broken)`);
  };
  const whole = (value: PickleValue | undefined, what: string): number =>
    typeof value === "number" && Number.isInteger(value) && value >= 0
      ? value
      : refuse(`${what} as a whole number from 0`, describe(value ?? null));
  const wholes = (value: PickleValue | undefined, what: string): number[] =>
    Array.isArray(value) && value.length <= 32
      ? value.map((each) => whole(each, what))
      : refuse(`${what} of at most 32 numbers`, describe(value ?? null));

  const storages = Object.keys(storageTypes).map((name) => new PickleGlobal(`torch.${name}`));
  const dtypeOf = (type: PickleValue | undefined): Dtype => {
    const at = storages.indexOf(type as PickleGlobal);
    return at >= 0
      ? Object.values(storageTypes)[at]!
      : refuse(`a storage of ${Object.keys(storageTypes).join(", ")}`, describe(type ?? null));
  };
  const tensor = ([storage, start, size, stride]: readonly PickleValue[]): PickleValue => {
    if (storage instanceof Opaque) return storage;
    if (!(storage instanceof Storage)) return refuse("the storage of a tensor", describe(storage ?? null));
    const [offset, shape] = [whole(start, "a tensor's offset"), wholes(size, "a tensor's size")];
    const strides = wholes(stride, "a tensor's strides");
    if (strides.length !== shape.length)
      refuse(`a stride for each of ${shape.length} dimensions`, `${strides.length}`);
    const elements = product(shape);
    if (elements > maxElements) refuse(`a tensor of at most ${maxElements} values`, `[${shape.join(", ")}]`);
    const last = offset + extent(shape, strides);
    if (elements > 0 && last >= storage.length)
      refuse(`a tensor within the ${storage.length} values of its storage`, `value ${last}`);
    return new View(storage, offset, shape, strides);
  };
  const dictionary = ([items = []]: readonly PickleValue[]): PickleValue => {
    if (!Array.isArray(items)) return refuse("pairs for an ordered dictionary", describe(items));
    return new Map(
      items.map((pair) =>
        Array.isArray(pair) && pair.length === 2
          ? [pair[0]!, pair[1]!]
          : refuse("pairs for an ordered dictionary", describe(pair)),
      ),
    );
  };
  return {
    globals: [
      ...storages,
      new PickleGlobal("collections.OrderedDict", dictionary),
      new PickleGlobal("torch._utils._rebuild_tensor_v2", tensor),
      new PickleGlobal("torch._utils._rebuild_parameter", ([data]) => data ?? null),
    ],
    /** Reads ("storage", class, key, device, number of values). */
    persistent(id: PickleValue): PickleValue {
      if (!Array.isArray(id) || id[0] !== "storage") return refuse("a reference to a storage", describe(id));
      const [, type, key, , length] = id;
      if (type instanceof Opaque) return type;
      if (typeof key !== "string" || !/^\w{1,64}$/.test(key))
        return refuse("a storage's name", describe(key ?? null));
      return new Storage(key, dtypeOf(type), whole(length, "a storage's length"));
    },
  };
}

/** The state dictionary of a checkpoint. */
function tensorsOf(root: PickleValue, doing: string): Map<string, View> {
  const state = root instanceof Map ? (root.get("state_dict") ?? root) : root;
  if (!(state instanceof Map))
    throw new XPromptError(
      `${doing}: expected a dictionary of tensors, or of a state_dict, got ${describe(state)} (another kind of checkpoint?)`,
    );
  const tensors = new Map<string, View>();
  for (const [name, value] of state) {
    if (typeof name !== "string")
      throw new XPromptError(
        `${doing}: expected names of tensors, got ${describe(name)} (another kind of checkpoint?)`,
      );
    if (!(value instanceof View))
      throw new XPromptError(
        `${doing}: ${quote(name)}: expected a tensor, got ${describe(value)} (another kind of checkpoint?)`,
      );
    tensors.set(name, value);
  }
  return tensors;
}

/** The distance from the first value to the last. */
const extent = (shape: readonly number[], strides: readonly number[]): number =>
  shape.reduce((sum, dim, i) => sum + (dim - 1) * strides[i]!, 0);

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== step) return false;
    step *= shape[i]!;
  }
  return true;
}

/** Copies values of `width` bytes at the given strides into row-major order. */
function gather(
  span: Uint8Array,
  shape: readonly number[],
  strides: readonly number[],
  width: number,
): Uint8Array<ArrayBuffer> {
  const elements = product(shape);
  const out = new Uint8Array(elements * width);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < elements; to++) {
    for (let b = 0; b < width; b++) out[to * width + b] = span[from * width + b]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** Reverses the bytes of every value, in place. */
function swapBytes(bytes: Uint8Array, width: number): void {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}
