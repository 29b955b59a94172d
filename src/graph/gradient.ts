/** @file Reverse-mode differentiation. The gradient of a graph is part of the graph. */
import type { Application, Tensor } from "./graph.ts";
import { add, fill } from "./operators/elementwise.ts";
import { formatShape, ShapeError } from "./shape.ts";

/**
 * d(loss)/d(target) for each target; a target may be any tensor on which the loss depends.
 *
 * Only the applications between the targets and the loss are visited, in reverse order of creation, which is a
 * reverse topological order. The gradients of several uses of a tensor are added.
 *
 * @param loss float32 scalar `[]`
 * @throws ShapeError when the loss is not a scalar, does not depend on a target, or depends on it only through operators
 *   without a gradient.
 */
export function gradients(loss: Tensor, targets: readonly Tensor[]): Tensor[] {
  if (loss.rank !== 0)
    throw new ShapeError(`gradients: expected a scalar loss, got shape ${formatShape(loss.shape)}`);
  const upstream = new Map<Tensor, Tensor>([[loss, fill(loss, 1)]]);
  const varying = new Set(targets);
  /** Tensors that an operator uses without passing them a gradient, with its name. */
  const withheld = new Map<Tensor, string>();
  for (const application of applicationsBetween(varying, loss).reverse()) {
    const { operator, inputs, outputs, attributes, path } = application;
    const arriving = outputs.map((output) => upstream.get(output) ?? null);
    if (!operator.gradient || arriving.every((gradient) => gradient === null)) continue;
    if (arriving.slice(operator.results ?? outputs.length).some((gradient) => gradient !== null))
      throw new ShapeError(`gradients: ${operator.name} can be differentiated once only`);
    const backward = () => operator.gradient!(inputs, outputs, arriving, attributes);
    const leaving = loss.graph.within(`gradient of ${path ? `${path}.` : ""}${operator.name}`, backward);
    for (const [i, input] of inputs.entries()) {
      const gradient = leaving[i];
      if (!gradient) withheld.set(input, operator.name);
      if (!gradient || !varying.has(input)) continue;
      const known = upstream.get(input);
      upstream.set(input, known ? add(known, gradient) : gradient);
    }
  }
  return targets.map((target) => {
    const gradient = upstream.get(target);
    if (gradient) return gradient;
    const by = withheld.get(target);
    if (by) throw new ShapeError(`gradients: ${describe(target)} gets no gradient from ${by}`);
    throw new ShapeError(`gradients: the loss does not depend on ${describe(target)}`);
  });
}

/**
 * The applications through which `tensor` depends on any of `varying`, inputs before outputs. Their outputs are added to
 * `varying`.
 */
function applicationsBetween(varying: Set<Tensor>, tensor: Tensor): Application[] {
  const seen = new Set<Application>();
  const open = [tensor];
  while (open.length > 0) {
    const { source } = open.pop()!;
    if (source.kind !== "application" || seen.has(source.application)) continue;
    seen.add(source.application);
    open.push(...source.application.inputs);
  }
  const ordered = [...seen].sort((a, b) => a.outputs[0]!.id - b.outputs[0]!.id);
  return ordered.filter(({ inputs, outputs }) => {
    const varies = inputs.some((input) => varying.has(input));
    if (varies) for (const output of outputs) varying.add(output);
    return varies;
  });
}

function describe({ source, shape }: Tensor): string {
  const name = "name" in source ? `${source.kind} ${source.name}` : source.kind;
  return `${name} ${formatShape(shape)}`;
}
