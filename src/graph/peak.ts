/** @file The peak memory of a graph while it runs. */
import { product } from "../numbers.ts";
import { applicationsBehind } from "./export.ts";
import type { Tensor } from "./graph.ts";
import { knownShape } from "./shape.ts";
import type { DType } from "./types.ts";

const bytesOf: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1,
};

/**
 * Peak bytes of intermediate values while `outputs` are computed operator by operator in order of creation. Each value
 * lives until its last use. Inputs, parameters, outputs and the workspace of operators are not counted.
 * @throws ShapeError when a size is known only at run time
 */
export function peakBytes(outputs: readonly Tensor[]): number {
  const applications = applicationsBehind(outputs);
  const lastUse = new Map<Tensor, number>();
  for (const [i, { inputs, outputs }] of applications.entries())
    for (const tensor of [...inputs, ...outputs]) lastUse.set(holderOf(tensor), i);
  for (const output of outputs) lastUse.delete(holderOf(output));

  const dropped = applications.map((): Tensor[] => []);
  for (const [tensor, i] of lastUse) if (tensor.source.kind === "application") dropped[i]!.push(tensor);
  let [held, most] = [0, 0];
  for (const [i, application] of applications.entries()) {
    for (const made of application.outputs)
      if (holderOf(made) === made && lastUse.has(made)) held += bytes(made);
    most = Math.max(most, held);
    for (const tensor of dropped[i]!) held -= bytes(tensor);
  }
  return most;
}

/** The tensor that owns a tensor's memory: a reshape allocates none. */
function holderOf(tensor: Tensor): Tensor {
  const { source } = tensor;
  const isView = source.kind === "application" && source.application.operator.name === "reshape";
  return isView ? holderOf(source.application.inputs[0]!) : tensor;
}

const bytes = ({ dtype, shape }: Tensor): number => bytesOf[dtype] * product(knownShape(shape, "memory"));
