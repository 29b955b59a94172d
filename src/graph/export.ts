/** @file Exports a graph as an ONNX model. */
import type { Application, Graph, Tensor } from "./graph.ts";
import { type Initializer, OnnxWriter } from "./onnx-writer.ts";
import { formatShape, ShapeError, sameShape } from "./shape.ts";

export interface ExportOptions {
  /**
   * Weights to write into the model as initializers, by parameter name. Any other parameter becomes an input of the
   * model under its own name, for training. Weights of float32 parameters may have half precision.
   */
  readonly weights?: ReadonlyMap<string, Initializer>;
}

/**
 * Writes an ONNX model that computes `outputs` under the given names. Inputs, parameters and operators that no output
 * depends on are left out.
 *
 * @throws ShapeError when a weight's type is not its parameter's.
 */
export function exportOnnx(
  outputs: Readonly<Record<string, Tensor>>,
  { weights = new Map() }: ExportOptions = {},
): Uint8Array<ArrayBuffer> {
  const onnx = new OnnxWriter();
  const values = new Map<Tensor, string>();
  for (const tensor of tensorsBehind(Object.values(outputs))) {
    const { source } = tensor;
    if (source.kind === "application") {
      if (!values.has(tensor)) emit(onnx, source.application, values);
    } else if (source.kind === "constant") values.set(tensor, onnx.constant(tensor, source.data));
    else if (source.kind === "parameter" && weights.has(source.name))
      values.set(tensor, stored(onnx, source.name, tensor, weights.get(source.name)!));
    else values.set(tensor, onnx.input(source.name, tensor));
  }
  for (const [name, tensor] of Object.entries(outputs)) onnx.output(name, values.get(tensor)!, tensor);
  return onnx.finish("xprompt");
}

/** The parameters that `outputs` depend on, in order of creation. */
export function parametersBehind(outputs: readonly Tensor[]): Tensor[] {
  return tensorsBehind(outputs).filter((tensor) => tensor.source.kind === "parameter");
}

/** The operator applications that `outputs` depend on, in order of creation. */
export function applicationsBehind(outputs: readonly Tensor[]): Application[] {
  const all = tensorsBehind(outputs).flatMap(({ source }) =>
    source.kind === "application" ? [source.application] : [],
  );
  return [...new Set(all)];
}

function emit(onnx: OnnxWriter, application: Application, values: Map<Tensor, string>): void {
  const { operator, inputs, outputs, attributes, path } = application;
  onnx.path = path;
  const names = inputs.map((input) => values.get(input)!);
  const made = operator.emit(onnx, names, attributes, application);
  for (const [i, output] of outputs.entries()) values.set(output, typeof made === "string" ? made : made[i]!);
}

/** The given tensors and every tensor that they are computed from, in order of creation. */
function tensorsBehind(tensors: readonly Tensor[]): Tensor[] {
  const seen = new Set<Tensor>();
  const open = [...tensors];
  while (open.length > 0) {
    const tensor = open.pop()!;
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    if (tensor.source.kind === "application") open.push(...tensor.source.application.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/**
 * A weight of its parameter's type. One of half precision is widened by onnxruntime when it loads the model.
 * @throws ShapeError when it has another shape or type
 */
function stored(onnx: OnnxWriter, name: string, parameter: Tensor, weight: Initializer): string {
  const isHalf = weight.dtype === "float16" && parameter.dtype === "float32";
  if (!sameShape(weight.shape, parameter.shape) || !(isHalf || weight.dtype === parameter.dtype)) {
    const [expected, got] = [parameter, weight].map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`);
    throw new ShapeError(`weight ${name}: expected ${expected}, got ${got}`);
  }
  const value = onnx.initializer(name, weight);
  return isHalf ? onnx.cast(value, parameter.dtype) : value;
}

/** Names and shapes of all parameters of a graph, as a checkpoint of the model must have them. */
export function parameterShapes(graph: Graph): Map<string, readonly number[]> {
  return new Map([...graph.parameters].map(([name, { shape }]) => [name, shape as readonly number[]]));
}

/**
 * The folder of the weight files: a model given as bytes refers to them by file name alone.
 * @returns undefined if all weights are in memory
 * @throws ShapeError when the files are in several folders
 */
export function dataFolder(weights: Iterable<Initializer>): string | undefined {
  const folders = new Set<string>();
  for (const { data } of weights) if ("file" in data) folders.add(data.folder);
  if (folders.size > 1)
    throw new ShapeError(`export: expected weight files in one folder, got ${[...folders].join(", ")}`);
  return [...folders][0];
}
