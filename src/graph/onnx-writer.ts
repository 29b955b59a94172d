/**
 * @file Collects ONNX nodes and constants while operators emit themselves, and writes the protobuf file.
 *
 * Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3); only the
 * messages used here are written, with the wire encoder of pbf.
 */
import { PbfWriter } from "pbf";
import { joinBytes, lengthOf } from "../bytes.ts";
import { ShapeError } from "./shape.ts";
import { type ConstantData, type DType, keyOf, type TensorType } from "./types.ts";

/** ai.onnx operator set that the emitted nodes follow. */
const OPSET = 21;
const IR_VERSION = 10;
/** Operators of onnxruntime that are not in the standard. */
export const MICROSOFT = "com.microsoft";

/** The wire type of strings, bytes and messages. */
export const LENGTH_DELIMITED = 2;

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

  /** A value as another type. */
  cast(value: string, dtype: DType): string {
    return this.node("Cast", [value], { to: DATA_TYPE[dtype] });
  }

  /** A float32 scalar. */
  scalar(value: number): string {
    return this.sharedConstant(`f${keyOf(value)}`, {
      dtype: "float32",
      shape: [],
      data: Float32Array.of(value),
    });
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
      out.writeVarintField(1, IR_VERSION);
      out.writeStringField(2, producer);
      writeLength(out, 7, lengthOf(graph));
    });
    const operatorSets = bytesOf((out) => {
      for (const [domain, version] of [
        ["", OPSET],
        [MICROSOFT, 1],
      ] as const)
        message(out, 8, () => {
          out.writeStringField(1, domain);
          out.writeVarintField(2, version);
        });
    });
    return joinBytes([head, ...graph, operatorSets]);
  }

  private graphParts(): Uint8Array[] {
    const nodes = bytesOf((out) => {
      for (const node of this.nodes) message(out, 1, () => writeNode(out, node));
      out.writeStringField(2, "xprompt");
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

function writeNode(out: PbfWriter, node: OnnxNode): void {
  for (const input of node.inputs) out.writeStringField(1, input);
  for (const output of node.outputs) out.writeStringField(2, output);
  out.writeStringField(3, node.name);
  out.writeStringField(4, node.type);
  for (const [name, value] of Object.entries(node.attributes))
    message(out, 5, () => writeAttribute(out, name, value));
  if (node.domain) out.writeStringField(7, node.domain);
}

function writeAttribute(out: PbfWriter, name: string, value: AttributeValue): void {
  out.writeStringField(1, name);
  const kind = (type: number) => out.writeVarintField(20, type);
  if (typeof value === "number") {
    out.writeVarintField(3, value);
    kind(2);
  } else if (typeof value === "string") {
    out.writeStringField(4, value);
    kind(3);
  } else if ("float" in value) {
    out.writeFloatField(2, value.float);
    kind(1);
  } else {
    for (const item of value) out.writeVarintField(8, item);
    kind(7);
  }
}

/** The field of an initializer in the graph: its header, and its bytes as they are in memory. */
function tensorParts(name: string, { dtype, shape, data }: Initializer): Uint8Array[] {
  const raw = ArrayBuffer.isView(data) ? [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)] : [];
  const header = bytesOf((out) => {
    for (const dim of shape) out.writeVarintField(1, dim as number);
    out.writeVarintField(2, DATA_TYPE[dtype]);
    out.writeStringField(8, name);
    if (ArrayBuffer.isView(data)) writeLength(out, 9, data.byteLength);
    else writeLocation(out, data);
  });
  const parts = [header, ...raw];
  const start = bytesOf((out) => writeLength(out, 5, lengthOf(parts)));
  return [start, ...parts];
}

function writeLocation(
  out: PbfWriter,
  { file, offset, length }: { readonly file: string; readonly offset: number; readonly length: number },
): void {
  const entries = { location: file, offset: String(offset), length: String(length) };
  for (const [key, value] of Object.entries(entries))
    message(out, 13, () => {
      out.writeStringField(1, key);
      out.writeStringField(2, value);
    });
  out.writeVarintField(14, 1);
}

function writeValueInfo(out: PbfWriter, name: string, { dtype, shape }: TensorType): void {
  out.writeStringField(1, name);
  const writeDim = (dim: number | string) =>
    typeof dim === "number" ? out.writeVarintField(1, dim) : out.writeStringField(2, dim);
  const writeType = () => {
    out.writeVarintField(1, DATA_TYPE[dtype]);
    message(out, 2, () => {
      for (const dim of shape) message(out, 1, () => writeDim(dim));
    });
  };
  message(out, 2, () => message(out, 1, writeType));
}

/** The start of a field whose bytes come from elsewhere. */
function writeLength(out: PbfWriter, field: number, length: number): void {
  out.writeTag(field, LENGTH_DELIMITED);
  out.writeVarint(length);
}

const message = (out: PbfWriter, field: number, write: () => unknown): void =>
  out.writeMessage(field, write, undefined);

function bytesOf(write: (out: PbfWriter) => unknown): Uint8Array {
  const out = new PbfWriter();
  write(out);
  return out.finish();
}
