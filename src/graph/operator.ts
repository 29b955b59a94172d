/**
 * @file How an operator is declared: its type rule, the ONNX it becomes, and its gradient, in one place.
 */
import type { Application, Tensor, TensorType } from "./graph.ts";
import type { OnnxWriter } from "./onnx-writer.ts";

export type Gradients = readonly (Tensor | null)[];

export interface Operator<A = unknown> {
  readonly name: string;
  /** How many outputs a loss may depend on, where the rest is kept for the gradient rule alone. Defaults to all. */
  readonly results?: number;
  /** Types of the outputs. @throws ShapeError where the inputs do not fit; the layer path is put before it. */
  infer(inputs: readonly Tensor[], attributes: A): TensorType | readonly TensorType[];
  /** Writes ONNX nodes and returns the name of each output's value. `application` has the types. */
  emit(
    onnx: OnnxWriter,
    inputs: readonly string[],
    attributes: A,
    application: Application<A>,
  ): string | readonly string[];
  /**
   * d(loss)/d(inputs) from d(loss)/d(outputs), as graph again; null for an input that has none. `upstream` holds
   * null for an output that the loss does not depend on. An operator without this member passes no gradient.
   */
  gradient?(
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    upstream: readonly (Tensor | null)[],
    attributes: A,
  ): Gradients;
}

/** Declares an operator and returns the function that applies it, for its outputs. */
export function operators<A = Record<never, never>>(
  name: string,
  rules: Omit<Operator<A>, "name">,
): (inputs: readonly Tensor[], attributes: A) => readonly Tensor[] {
  const operator: Operator<A> = { name, ...rules };
  return (inputs, attributes) => {
    const graph = inputs[0]?.graph;
    if (!graph) throw new TypeError(`${name}: expected at least one input tensor`);
    return graph.apply(operator, inputs, attributes);
  };
}

/** The same for an operator with one output. */
export function operator<A = Record<never, never>>(
  name: string,
  rules: Omit<Operator<A>, "name" | "gradient"> & {
    gradient?(inputs: readonly Tensor[], output: Tensor, upstream: Tensor, attributes: A): Gradients;
  },
): (inputs: readonly Tensor[], attributes: A) => Tensor {
  const { gradient, ...rest } = rules;
  const apply = operators<A>(name, {
    ...rest,
    ...(gradient && {
      gradient: (inputs, outputs, upstream, attributes) =>
        gradient(inputs, outputs[0]!, upstream[0]!, attributes),
    }),
  });
  return (inputs, attributes) => apply(inputs, attributes)[0]!;
}
