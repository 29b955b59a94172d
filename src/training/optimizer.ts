/** @file AdamW as graph: the new weights and moments are outputs of the same run that computes the gradients. */
import {
  add,
  divide,
  type Graph,
  minimum,
  multiply,
  reshape,
  sqrt,
  subtract,
  sum,
  type Tensor,
} from "../graph/index.ts";

export interface AdamWSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Share of a weight that is taken away each step, times the learning rate; of matrices and kernels, not of norms. */
  readonly weightDecay: number;
  /** Longest gradient, as the norm over all parameters; longer ones are scaled down to it. */
  readonly clipNorm: number;
}

/** The three buffers that training keeps for each parameter. */
export const roles = ["parameter", "mean", "variance"] as const;
export type Role = (typeof roles)[number];

/** Name of a buffer among the inputs of the training graph; its new content is the output `next ‹name›`. */
export const bufferName = (role: Role, parameter: string): string =>
  role === "parameter" ? parameter : `${role} of ${parameter}`;

export interface Update {
  /** New buffers, by output name. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Norm of the gradient before clipping, float32 scalar. */
  readonly gradientNorm: Tensor;
}

/**
 * One step of AdamW with decoupled weight decay and clipping by global norm (https://arxiv.org/abs/1711.05101).
 * Adds the scalar inputs `learning rate`, `mean correction` = 1/(1 − β₁ᵗ) and `variance correction` = 1/(1 − β₂ᵗ).
 */
export function adamw(
  graph: Graph,
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
  settings: AdamWSettings,
): Update {
  const scalar = (name: string) => graph.input(name, "float32", []);
  const rate = scalar("learning rate");
  const [meanCorrection, varianceCorrection] = [scalar("mean correction"), scalar("variance correction")];
  const gradientNorm = sqrt(gradients.map(sumOfSquares).reduce(add));
  const clipped = minimum(divide(settings.clipNorm, add(gradientNorm, 1e-6)), 1);
  const outputs: Record<string, Tensor> = {};
  for (const [i, parameter] of parameters.entries()) {
    const name = nameOf(parameter);
    const buffer = (role: Role) => graph.input(bufferName(role, name), "float32", parameter.shape);
    const gradient = multiply(gradients[i]!, clipped);
    const mean = blend(buffer("mean"), gradient, settings.beta1);
    const variance = blend(buffer("variance"), multiply(gradient, gradient), settings.beta2);
    const deviation = add(sqrt(multiply(variance, varianceCorrection)), settings.epsilon);
    const step = divide(multiply(mean, multiply(rate, meanCorrection)), deviation);
    const isGain = /norm\.(weight|bias)$/.test(name);
    const decay = parameter.rank >= 2 && !isGain ? settings.weightDecay : 0;
    const kept = decay === 0 ? parameter : multiply(parameter, subtract(1, multiply(rate, decay)));
    const next = { parameter: subtract(kept, step), mean, variance };
    for (const role of roles) outputs[nextName(bufferName(role, name))] = next[role];
  }
  return { outputs, gradientNorm };
}

export const nextName = (buffer: string): string => `next ${buffer}`;

export function nameOf({ source }: Tensor): string {
  if (source.kind !== "parameter")
    throw new TypeError(`expected a parameter, got a tensor from an ${source.kind}`);
  return source.name;
}

/** old · β + new · (1 − β) */
function blend(old: Tensor, latest: Tensor, beta: number): Tensor {
  return add(multiply(old, beta), multiply(latest, 1 - beta));
}

function sumOfSquares(x: Tensor): Tensor {
  return reshape(sum(multiply(x, x)), []);
}
