/** @file A summary of an ONNX file, read without its weights. */
import { PbfReader } from "pbf";
import { LENGTH_DELIMITED } from "./onnx-writer.ts";

export interface OnnxSummary {
  readonly producer: string;
  readonly operatorSets: Readonly<Record<string, number>>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Number of nodes by operator, most frequent first. */
  readonly nodes: Readonly<Record<string, number>>;
  readonly initializers: number;
  readonly initializerBytes: number;
}

type Field = (reader: PbfReader) => void;

/** @throws Error when the bytes are not an ONNX model */
export function summarizeOnnx(bytes: Uint8Array): OnnxSummary {
  const [inputs, outputs]: [string[], string[]] = [[], []];
  const [nodes, operatorSets] = [new Map<string, number>(), new Map<string, number>()];
  let [producer, initializers, initializerBytes] = ["", 0, 0];
  const graph: Record<number, Field> = {
    1: nested({ 4: (r) => count(nodes, r.readString()) }),
    5: nested({ 9: (r) => (initializerBytes += r.readBytes().length) }, () => initializers++),
    11: nested({ 1: (r) => inputs.push(r.readString()) }),
    12: nested({ 1: (r) => outputs.push(r.readString()) }),
  };
  let [domain, version] = ["", 0];
  const set = nested({ 1: (r) => (domain = r.readString()), 2: (r) => (version = r.readVarint()) }, () => {
    operatorSets.set(domain || "ai.onnx", version);
    domain = "";
  });
  read(new PbfReader(bytes), bytes.length, {
    2: (r) => (producer = r.readString()),
    7: nested(graph),
    8: set,
  });
  if (nodes.size === 0) throw new Error("no nodes");
  const byFrequency = [...nodes].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return {
    producer,
    operatorSets: Object.fromEntries(operatorSets),
    inputs,
    outputs,
    nodes: Object.fromEntries(byFrequency),
    initializers,
    initializerBytes,
  };
}

const read = (reader: PbfReader, end: number, fields: Readonly<Record<number, Field>>): void =>
  void reader.readFields((number) => fields[number]?.(reader), undefined, end);

function nested(fields: Readonly<Record<number, Field>>, after: () => void = () => {}): Field {
  return (reader) => {
    if (reader.type !== LENGTH_DELIMITED) throw new Error("expected a message");
    const length = reader.readVarint();
    read(reader, reader.pos + length, fields);
    after();
  };
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
