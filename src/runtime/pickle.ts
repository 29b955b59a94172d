/**
 * @file Reading Python pickles (protocols 2 to 5, https://docs.python.org/3/library/pickletools.html) without
 * running anything. A pickle is a program that can name any function and call it. Here it can call only functions that
 * the reader allows. Any other name becomes an `Opaque`, a placeholder that is never called. Calling, building or
 * filling a placeholder gives a placeholder again. So a checkpoint with unknown objects is readable as long as they are
 * not needed, and an error can name the object that was found instead of a value.
 */
import { XPromptError } from "../errors.ts";
import { op, refused } from "./pickle-opcodes.ts";

/**
 * A value of a pickle: lists and tuples are arrays, dictionaries are maps, integers beyond the safe range are bigints.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | PickleObject;

/** Values of the reader's own classes, `PickleGlobal` or `Opaque`. */
export abstract class PickleObject {
  abstract readonly kind: string;
}

/** An allowed name; the pickle calls it through `call`. */
export class PickleGlobal extends PickleObject {
  readonly kind = "global";
  constructor(
    /** Module and name, joined by a dot. */
    readonly name: string,
    readonly call?: (args: readonly PickleValue[]) => PickleValue,
  ) {
    super();
  }
}

/** A placeholder for an object that is not allowed, or for the result of calling it. */
export class Opaque extends PickleObject {
  readonly kind = "opaque";
  constructor(readonly name: string) {
    super();
  }
}

export interface UnpickleOptions {
  /** The allowed names. */
  readonly globals: Iterable<PickleGlobal>;
  /** Resolves a persistent id, a reference to something outside the pickle. */
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** Every value needs an opcode, so this bounds the stack, the memo, the nesting and every collection. */
const maxOpcodes = 2 ** 20;
/** The longest integer in bytes. */
const maxIntegerLength = 1024;

/**
 * The value of a pickle.
 * @param doing the operation, for errors
 * @throws XPromptError for an opcode that is refused, or a malformed pickle
 */
export function unpickle(bytes: Uint8Array, options: UnpickleOptions, doing: string): PickleValue {
  return new Unpickler(bytes, options, doing).run();
}

class Unpickler {
  private at = 0;
  /** Offset of the current opcode, for errors. */
  private start = 0;
  private readonly stack: PickleValue[] = [];
  /** Heights of the stack at the open marks. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly view: DataView;
  private readonly globals: ReadonlyMap<string, PickleGlobal>;
  private readonly persistent: (id: PickleValue) => PickleValue;

  constructor(
    private readonly bytes: Uint8Array,
    { globals, persistent }: UnpickleOptions,
    private readonly doing: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.globals = new Map([...globals].map((each) => [each.name, each]));
    this.persistent = persistent;
  }

  run(): PickleValue {
    for (let count = 0; count < maxOpcodes; count++) {
      this.start = this.at;
      const code = this.byte();
      if (code !== op.STOP) this.step(code);
      else if (this.stack.length === 1 && this.marks.length === 0) return this.stack[0]!;
      else this.fail("one value at the end", `${this.stack.length}`);
    }
    return this.fail(`at most ${maxOpcodes} opcodes`, "more");
  }

  private step(code: number): void {
    const { stack } = this;
    switch (code) {
      case op.PROTO: {
        const protocol = this.byte();
        if (protocol < 2 || protocol > 5) this.fail("a pickle of protocol 2 to 5", `protocol ${protocol}`);
        return;
      }
      case op.FRAME:
        this.size(8);
        return;
      case op.MARK:
        this.marks.push(stack.length);
        return;
      case op.POP:
        // As in CPython, a mark on top is popped.
        if (this.marks.at(-1) === stack.length && this.marks.length > 0) this.marks.pop();
        else this.pop();
        return;
      case op.POP_MARK:
        this.toMark();
        return;
      case op.DUP:
        stack.push(this.top());
        return;
      case op.NONE:
        stack.push(null);
        return;
      case op.NEWTRUE:
      case op.NEWFALSE:
        stack.push(code === op.NEWTRUE);
        return;
      case op.BININT:
        stack.push(this.view.getInt32(this.take(4), true));
        return;
      case op.BININT1:
        stack.push(this.byte());
        return;
      case op.BININT2:
        stack.push(this.view.getUint16(this.take(2), true));
        return;
      case op.LONG1:
      case op.LONG4:
        stack.push(this.integer(this.size(code === op.LONG1 ? 1 : 4)));
        return;
      case op.BINFLOAT:
        stack.push(this.view.getFloat64(this.take(8), false));
        return;
      case op.SHORT_BINUNICODE:
      case op.BINUNICODE:
      case op.BINUNICODE8:
        stack.push(this.text(code === op.SHORT_BINUNICODE ? 1 : code === op.BINUNICODE ? 4 : 8, "utf8"));
        return;
      case op.SHORT_BINSTRING:
      case op.BINSTRING:
        stack.push(this.text(code === op.SHORT_BINSTRING ? 1 : 4, "latin1"));
        return;
      case op.SHORT_BINBYTES:
      case op.BINBYTES:
      case op.BINBYTES8:
      case op.BYTEARRAY8:
        stack.push(this.raw(code === op.SHORT_BINBYTES ? 1 : code === op.BINBYTES ? 4 : 8));
        return;
      case op.EMPTY_LIST:
      case op.EMPTY_TUPLE:
        stack.push([]);
        return;
      case op.LIST:
      case op.TUPLE:
        stack.push(this.toMark());
        return;
      case op.TUPLE1:
      case op.TUPLE2:
      case op.TUPLE3: {
        const last = Array.from({ length: code - op.TUPLE1 + 1 }, () => this.pop());
        stack.push(last.reverse());
        return;
      }
      case op.EMPTY_DICT:
        stack.push(new Map());
        return;
      case op.DICT: {
        const items = this.toMark();
        stack.push(new Map());
        this.setItems(items);
        return;
      }
      case op.EMPTY_SET:
        stack.push(new Set());
        return;
      case op.FROZENSET:
        stack.push(new Set(this.toMark()));
        return;
      case op.APPEND: {
        const value = this.pop();
        this.append([value]);
        return;
      }
      case op.APPENDS:
        this.append(this.toMark());
        return;
      case op.SETITEM: {
        const value = this.pop();
        this.setItems([this.pop(), value]);
        return;
      }
      case op.SETITEMS:
        this.setItems(this.toMark());
        return;
      case op.ADDITEMS: {
        const items = this.toMark();
        const target = this.top();
        if (target instanceof Set) for (const item of items) target.add(item);
        else if (!(target instanceof Opaque)) this.fail("a set to add to", describe(target));
        return;
      }
      case op.BINPUT:
      case op.LONG_BINPUT:
        this.memo.set(this.size(code === op.BINPUT ? 1 : 4, false), this.top());
        return;
      case op.MEMOIZE:
        this.memo.set(this.memo.size, this.top());
        return;
      case op.BINGET:
      case op.LONG_BINGET: {
        const index = this.size(code === op.BINGET ? 1 : 4, false);
        const value = this.memo.get(index);
        stack.push(value === undefined ? this.fail("a memoized value", `number ${index}`) : value);
        return;
      }
      case op.GLOBAL:
        stack.push(this.global(this.line(), this.line()));
        return;
      case op.STACK_GLOBAL: {
        const name = this.pop();
        const module = this.pop();
        if (typeof name !== "string" || typeof module !== "string")
          this.fail("a module and a name", `${describe(module)} and ${describe(name)}`);
        else stack.push(this.global(module, name));
        return;
      }
      case op.REDUCE:
      case op.NEWOBJ: {
        const args = this.pop();
        const callee = this.pop();
        stack.push(this.call(callee, args));
        return;
      }
      case op.NEWOBJ_EX: {
        const keywords = this.pop();
        const args = this.pop();
        const callee = this.pop();
        if (keywords instanceof Map && keywords.size === 0) stack.push(this.call(callee, args));
        else if (callee instanceof Opaque || callee instanceof PickleGlobal)
          stack.push(new Opaque(callee.name));
        else this.fail("a class", describe(callee));
        return;
      }
      case op.BUILD:
        // The state of an object: attributes of a placeholder or an ordered dictionary. Both are dropped.
        this.pop();
        this.top();
        return;
      case op.BINPERSID: {
        const id = this.pop();
        stack.push(this.persistent(id));
        return;
      }
      default: {
        const name = refused[code];
        const hex = `0x${code.toString(16).padStart(2, "0")}`;
        this.fail(
          "data opcodes of protocols 2 to 5",
          name ? `the opcode ${name} (${hex})` : `the unknown opcode ${hex}`,
          name ? "no code was run; save the tensors again with torch.save or as safetensors" : undefined,
        );
      }
    }
  }

  private call(callee: PickleValue, args: PickleValue): PickleValue {
    if (!Array.isArray(args)) return this.fail("arguments in a tuple", describe(args));
    if (callee instanceof PickleGlobal && callee.call) return callee.call(args);
    if (callee instanceof Opaque || callee instanceof PickleGlobal) return new Opaque(callee.name);
    return this.fail("something that can be called", describe(callee));
  }

  private global(module: string, name: string): PickleValue {
    const full = `${module}.${name}`;
    return this.globals.get(full) ?? new Opaque(full);
  }

  private append(items: PickleValue[]): void {
    const target = this.top();
    if (Array.isArray(target)) for (const item of items) target.push(item);
    else if (!(target instanceof Opaque)) this.fail("a list to append to", describe(target));
  }

  private setItems(items: PickleValue[]): void {
    const target = this.top();
    if (items.length % 2 !== 0) this.fail("keys with values", `${items.length} items`);
    if (target instanceof Map) for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
    else if (!(target instanceof Opaque)) this.fail("a dictionary to fill", describe(target));
  }

  private top(): PickleValue {
    const value = this.stack.at(-1);
    return value === undefined || this.stack.length <= this.floor ? this.fail("a value", "none") : value;
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  /** The height of the stack at the last open mark. */
  private get floor(): number {
    return this.marks.at(-1) ?? 0;
  }

  /** Pops the values above the last mark, and the mark. */
  private toMark(): PickleValue[] {
    const mark = this.marks.pop();
    return mark === undefined ? this.fail("a mark", "none") : this.stack.splice(mark);
  }

  private byte(): number {
    return this.bytes[this.take(1)]!;
  }

  /** The offset of the next `length` bytes; skips them. */
  private take(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start)
      this.fail(`${length} more bytes`, `${this.bytes.length - start}`, "the file is cut off or broken");
    this.at += length;
    return start;
  }

  /** A length of 1, 4 or 8 bytes, at most the rest of the pickle. */
  private size(width: 1 | 4 | 8, isLength = true): number {
    const start = this.take(width);
    const value =
      width === 1
        ? this.view.getUint8(start)
        : width === 4
          ? this.view.getUint32(start, true)
          : Number(this.view.getBigUint64(start, true));
    if (isLength && value > this.bytes.length - this.at)
      this.fail(
        `a length of at most ${this.bytes.length - this.at}`,
        `${value}`,
        "the file is cut off or broken",
      );
    return value;
  }

  private raw(width: 1 | 4 | 8): Uint8Array {
    const length = this.size(width);
    return this.bytes.slice(this.take(length), this.at);
  }

  private text(width: 1 | 4 | 8, encoding: "utf8" | "latin1"): string {
    const length = this.size(width);
    const start = this.take(length);
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, length).toString(encoding);
  }

  /** Text up to the end of the line, for the opcode GLOBAL. */
  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) this.fail("a line", "no end of it", "the file is cut off or broken");
    const start = this.take(end + 1 - this.at);
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, end - start).toString("utf8");
  }

  /** A little-endian integer in two's complement. */
  private integer(length: number): number | bigint {
    if (length > maxIntegerLength) this.fail(`integers of at most ${maxIntegerLength} bytes`, `${length}`);
    if (length === 0) return 0;
    const digits = Buffer.from(this.bytes.slice(this.take(length), this.at).reverse()).toString("hex");
    const value = BigInt.asIntN(length * 8, BigInt(`0x${digits}`));
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  private fail(expected: string, got: string, advice = "the file is broken, or not a checkpoint"): never {
    throw new XPromptError(
      `${this.doing}: byte ${this.start} of the pickle: expected ${expected}, got ${got} (${advice})`,
    );
  }
}

/** The kind of a value, for errors. */
export function describe(value: PickleValue): string {
  if (value instanceof Opaque) return `an object of ${value.name}, which is never called`;
  if (value instanceof PickleGlobal) return value.name;
  if (value === null) return "None";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return `a dictionary of ${value.size}`;
  if (value instanceof Set) return `a set of ${value.size}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === "object" ? "an object" : `the ${typeof value} ${String(value).slice(0, 40)}`;
}
