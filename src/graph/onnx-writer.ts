/**
 * @file Collects ONNX nodes and constants while operators emit themselves, and writes the protobuf file.
 *
 * Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3); only the
 * messages used here are written, with the wire encoder of @bufbuild/protobuf.
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { joinBytes, lengthOf } from "../bytes.ts";
import { ShapeError } from "./shape.ts";
import type { ConstantData, DType, TensorType } from "./types.ts";

/** ai.onnx operator set that the emitted nodes follow. */
const OPSET = 21;
const IR_VERSION = 10;
/** Operators of onnxruntime that are not in the standard. */
export const MICROSOFT = "com.microsoft";

const DATA_TYPE: Record<DType, number> = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 };

/** A floating-point attribute; plain numbers are integer attributes. */
export const float = (value: number): { readonly float: number } => ({ float: value });

export type AttributeValue = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, AttributeValue>>;

interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  readonly domain: string;
  readonly name: string;
}

/** A weight or constant: bytes in memory, or a range of a file that onnxruntime maps into memory. */
export interface Initializer extends TensorType {
  readonly data:
    | ArrayBufferView
    | {
        readonly folder: string;
        /** Its name in the folder. */
        readonly file: string;
        readonly offset: number;
        readonly length: number;
      };
}

export class OnnxWriter {
  /** Layer path; part of the node names, so that profiles are readable. */
  path = "";
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers = new Map<string, Initializer>();
  private readonly inputs = new Map<string, TensorType>();
  private readonly outputs = new Map<string, TensorType>();
  private readonly sharedConstants = new Map<string, string>();
  private readonly claimed = new Set<string>();
  private count = 0;

  /** Adds a node with one output, and returns that output's name. */
  node(type: string, inputs: readonly string[], attributes: Attributes = {}, domain = ""): string {
    return this.nodeOutputs(type, inputs, 1, attributes, domain)[0]!;
  }

  /** Adds a node with several outputs, and returns their names. */
  nodeOutputs(
    type: string,
    inputs: readonly string[],
    outputCount: number,
    attributes: Attributes = {},
    domain = "",
  ): readonly string[] {
    const id = this.count++;
    const outputs = Array.from({ length: outputCount }, (_, i) => (i === 0 ? `%${id}` : `%${id}.${i}`));
    this.nodes.push({ type, inputs, outputs, attributes, domain, name: `${this.path}/${type}.${id}` });
    return outputs;
  }

  /** A float32 scalar. */
  scalar(value: number): string {
    return this.sharedConstant(`f${value}`, { dtype: "float32", shape: [], data: Float32Array.of(value) });
  }

  /** An int64 vector, for inputs that ONNX takes as tensors (axes, shapes, pads). */
  ints(values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.sharedConstant(`i${values}`, { dtype: "int64", shape: [values.length], data });
  }

  /** A float32 vector of ones. */
  ones(count: number): string {
    const data = new Float32Array(count).fill(1);
    return this.sharedConstant(`ones${count}`, { dtype: "float32", shape: [count], data });
  }

  constant(type: TensorType, data: ConstantData): string {
    return this.initializer(`%${this.count++}`, { ...type, data });
  }

  initializer(name: string, value: Initializer): string {
    this.claim(name);
    this.initializers.set(name, value);
    return name;
  }

  input(name: string, type: TensorType): string {
    this.claim(name);
    this.inputs.set(name, type);
    return name;
  }

  output(name: string, value: string, type: TensorType): void {
    this.claim(name);
    this.outputs.set(name, type);
    this.nodes.push({
      type: "Identity",
      inputs: [value],
      outputs: [name],
      attributes: {},
      domain: "",
      name: `/${name}`,
    });
  }

  /** The model file. Weights are copied once. */
  finish(producer: string): Uint8Array<ArrayBuffer> {
    const graph = this.graphParts();
    const head = bytesOf((out) => {
      out.tag(1, WireType.Varint).int64(IR_VERSION);
      string(out, 2, producer);
      out.tag(7, WireType.LengthDelimited).uint32(lengthOf(graph));
    });
    const operatorSets = bytesOf((out) => {
      for (const [domain, version] of [
        ["", OPSET],
        [MICROSOFT, 1],
      ] as const)
        message(out, 8, () => {
          string(out, 1, domain);
          out.tag(2, WireType.Varint).int64(version);
        });
    });
    return joinBytes([head, ...graph, operatorSets]);
  }

  private graphParts(): Uint8Array[] {
    const nodes = bytesOf((out) => {
      for (const node of this.nodes) message(out, 1, () => writeNode(out, node));
      string(out, 2, "xprompt");
    });
    const tensors = [...this.initializers].flatMap(([name, value]) => tensorParts(name, value));
    const ends = bytesOf((out) => {
      for (const [name, type] of this.inputs) message(out, 11, () => writeValueInfo(out, name, type));
      for (const [name, type] of this.outputs) message(out, 12, () => writeValueInfo(out, name, type));
    });
    return [nodes, ...tensors, ends];
  }

  /** In ONNX, inputs, weights and outputs share one namespace. */
  private claim(name: string): void {
    if (this.claimed.has(name))
      throw new ShapeError(
        `export: expected inputs, parameters and outputs of different names, got "${name}" twice`,
      );
    this.claimed.add(name);
  }

  private sharedConstant(key: string, value: Initializer): string {
    const known = this.sharedConstants.get(key);
    if (known) return known;
    const name = this.initializer(`%${this.count++}`, value);
    this.sharedConstants.set(key, name);
    return name;
  }
}

function writeNode(out: BinaryWriter, node: OnnxNode): void {
  for (const input of node.inputs) string(out, 1, input);
  for (const output of node.outputs) string(out, 2, output);
  string(out, 3, node.name);
  string(out, 4, node.type);
  for (const [name, value] of Object.entries(node.attributes))
    message(out, 5, () => writeAttribute(out, name, value));
  if (node.domain) string(out, 7, node.domain);
}

function writeAttribute(out: BinaryWriter, name: string, value: AttributeValue): void {
  string(out, 1, name);
  const kind = (type: number) => out.tag(20, WireType.Varint).int32(type);
  if (typeof value === "number") {
    out.tag(3, WireType.Varint).int64(value);
    kind(2);
  } else if (typeof value === "string") {
    string(out, 4, value);
    kind(3);
  } else if ("float" in value) {
    out.tag(2, WireType.Bit32).float(value.float);
    kind(1);
  } else {
    for (const item of value) out.tag(8, WireType.Varint).int64(item);
    kind(7);
  }
}

/** The field of an initializer in the graph: its header, and its bytes as they are in memory. */
function tensorParts(name: string, { dtype, shape, data }: Initializer): Uint8Array[] {
  const raw = ArrayBuffer.isView(data) ? [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)] : [];
  const header = bytesOf((out) => {
    for (const dim of shape) out.tag(1, WireType.Varint).int64(dim as number);
    out.tag(2, WireType.Varint).int32(DATA_TYPE[dtype]);
    string(out, 8, name);
    if (ArrayBuffer.isView(data)) out.tag(9, WireType.LengthDelimited).uint32(data.byteLength);
    else writeLocation(out, data);
  });
  const parts = [header, ...raw];
  const start = bytesOf((out) => out.tag(5, WireType.LengthDelimited).uint32(lengthOf(parts)));
  return [start, ...parts];
}

function writeLocation(
  out: BinaryWriter,
  { file, offset, length }: { readonly file: string; readonly offset: number; readonly length: number },
): void {
  const entries = { location: file, offset: String(offset), length: String(length) };
  for (const [key, value] of Object.entries(entries))
    message(out, 13, () => {
      string(out, 1, key);
      string(out, 2, value);
    });
  out.tag(14, WireType.Varint).int32(1);
}

function writeValueInfo(out: BinaryWriter, name: string, { dtype, shape }: TensorType): void {
  string(out, 1, name);
  const writeDim = (dim: number | string) =>
    typeof dim === "number" ? out.tag(1, WireType.Varint).int64(dim) : string(out, 2, dim);
  const writeType = () => {
    out.tag(1, WireType.Varint).int32(DATA_TYPE[dtype]);
    message(out, 2, () => {
      for (const dim of shape) message(out, 1, () => writeDim(dim));
    });
  };
  message(out, 2, () => message(out, 1, writeType));
}

function string(out: BinaryWriter, field: number, value: string): void {
  out.tag(field, WireType.LengthDelimited).string(value);
}

function message(out: BinaryWriter, field: number, write: () => unknown): void {
  out.tag(field, WireType.LengthDelimited).fork();
  write();
  out.join();
}

function bytesOf(write: (out: BinaryWriter) => unknown): Uint8Array {
  const out = new BinaryWriter();
  write(out);
  return out.finish();
}
