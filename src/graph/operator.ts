/**
 * @file Declares an operator: type rule, ONNX nodes and gradient in one place.
 */
import type { Gradients, Operator, Tensor } from "./graph.ts";

/** Declares an operator and returns the function that applies it and returns its outputs. */
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

/** As `operators`, for an operator with one output. */
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
