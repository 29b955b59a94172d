/** @file AdamW and Muon as graph operations: one run computes the gradients, the new weights and the new moments. */
import { z } from "zod";
import {
  add,
  divide,
  type Graph,
  matmul,
  minimum,
  multiply,
  reshape,
  sqrt,
  subtract,
  sum,
  type Tensor,
} from "../../graph/index.ts";
import { knownShape } from "../../graph/shape.ts";

/** The optimizers. */
export const methods = ["adamw", "muon"] as const;
export type Method = (typeof methods)[number];

/** Optimizer settings of every kind of recipe. */
export const optimizerSchema = z.strictObject({
  learningRate: z.number().positive().default(1e-3),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.99),
  epsilon: z.number().positive().default(1e-8),
  /** Decoupled weight decay per step, times the learning rate. Applies to matrices and kernels, not to norms. */
  weightDecay: z.number().min(0).default(0),
  /** Gradients with a larger global norm are scaled down to this norm. */
  clipNorm: z.number().positive().default(1),
  /**
   * Optimizer of the layers' matrices; AdamW updates all other parameters. Muon learns more per step. With batches as
   * small as nano's, a step takes a quarter longer. Both use the same scale of learning rates.
   */
  matrices: z.enum(methods).default("adamw"),
  /** Muon's decay rate of the mean gradient. */
  momentum: z.number().min(0).lt(1).default(0.95),
});

/** Without the learning rate, which follows a schedule and is an input of each step. */
export type OptimizerSettings = Omit<z.output<typeof optimizerSchema>, "learningRate">;

/** The kinds of buffers that training keeps per parameter. */
export const roles = ["parameter", "mean", "variance"] as const;
export type Role = (typeof roles)[number];

/**
 * The optimizer of a parameter. Muon is designed for maps between hidden states; embeddings, heads and vectors are
 * none (https://kellerjordan.github.io/posts/muon).
 */
export const methodOf = ({ matrices }: Pick<OptimizerSettings, "matrices">, name: string): Method =>
  HIDDEN_MATRIX.test(name) ? matrices : "adamw";

/** Matrices of the transformer's layers and of the patch decoder's blocks. */
const HIDDEN_MATRIX = /\.(layers\.\d+\..*_proj|decoder\.block\.\d+\.conv[12])\.weight$/;

/** The buffers that training keeps for the parameter `name`. */
export const rolesOf = (settings: Pick<OptimizerSettings, "matrices">, name: string): readonly Role[] =>
  methodOf(settings, name) === "muon" ? ["parameter", "mean"] : roles;

/** Name of a buffer as an input of the training graph. Its updated content is the output `next ‹name›`. */
export const bufferName = (role: Role, parameter: string): string =>
  role === "parameter" ? parameter : `${role} of ${parameter}`;

interface Update {
  /** Updated buffers, by output name. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Norm of the gradient before clipping, float32 scalar. */
  readonly gradientNorm: Tensor;
}

/** The optimizer's view of a parameter. */
interface ParameterState {
  readonly gradient: Tensor;
  /** The content of a buffer before the step. */
  buffer(role: Role): Tensor;
  readonly shape: readonly number[];
}
/** The step to subtract from the parameter, and the updated moments. */
interface ParameterUpdate {
  readonly step: Tensor;
  readonly moments: Partial<Record<Role, Tensor>>;
}
/** Scalar inputs of the training graph. */
interface Scalars {
  readonly rate: Tensor;
  readonly meanCorrection: Tensor;
  readonly varianceCorrection: Tensor;
}

/**
 * Builds one step of all parameters, with decoupled weight decay (https://arxiv.org/abs/1711.05101) and clipping by
 * global norm. Adds the scalar inputs `learning rate`, `mean correction` = 1/(1 − β₁ᵗ) and `variance correction` =
 * 1/(1 − β₂ᵗ) to the graph.
 */
export function optimize(
  graph: Graph,
  parameters: readonly Tensor[],
  gradients: readonly Tensor[],
  settings: OptimizerSettings,
): Update {
  const scalar = (name: string) => graph.input(name, "float32", []);
  const scalars: Scalars = {
    rate: scalar("learning rate"),
    meanCorrection: scalar("mean correction"),
    varianceCorrection: scalar("variance correction"),
  };
  const gradientNorm = sqrt(gradients.map(sumOfSquares).reduce(add));
  const clipped = minimum(divide(settings.clipNorm, add(gradientNorm, 1e-6)), 1);
  const outputs: Record<string, Tensor> = {};
  for (const [i, parameter] of parameters.entries()) {
    const name = nameOf(parameter);
    const { shape } = parameter;
    const current: ParameterState = {
      gradient: multiply(gradients[i]!, clipped),
      buffer: (role) => graph.input(bufferName(role, name), "float32", shape),
      shape: knownShape(shape, name),
    };
    const update = methodOf(settings, name) === "muon" ? muon : adamw;
    const { step, moments } = update(current, settings, scalars);
    const isGain = /norm\.(weight|bias)$/.test(name);
    const decay = parameter.rank >= 2 && !isGain ? settings.weightDecay : 0;
    const kept = decay === 0 ? parameter : multiply(parameter, subtract(1, multiply(scalars.rate, decay)));
    const next = { parameter: subtract(kept, step), ...moments };
    for (const [role, tensor] of Object.entries(next))
      outputs[nextName(bufferName(role as Role, name))] = tensor;
  }
  return { outputs, gradientNorm };
}

/** AdamW (https://arxiv.org/abs/1711.05101). */
function adamw(
  { gradient, buffer }: ParameterState,
  { beta1, beta2, epsilon }: OptimizerSettings,
  { rate, meanCorrection, varianceCorrection }: Scalars,
): ParameterUpdate {
  const mean = blend(buffer("mean"), gradient, beta1);
  const variance = blend(buffer("variance"), multiply(gradient, gradient), beta2);
  const deviation = add(sqrt(multiply(variance, varianceCorrection)), epsilon);
  const step = divide(multiply(mean, multiply(rate, meanCorrection)), deviation);
  return { step, moments: { mean, variance } };
}

/**
 * Muon with Nesterov momentum (https://kellerjordan.github.io/posts/muon). It sets all singular values of the mean
 * gradient to 1, so that rare directions get the same step size as common ones. The factor 0.2 √max(rows, columns)
 * gives the step the same size as AdamW's (https://arxiv.org/abs/2502.16982), so the same learning rates apply.
 */
function muon(
  { gradient, buffer, shape }: ParameterState,
  { momentum }: OptimizerSettings,
  { rate }: Scalars,
): ParameterUpdate {
  const mean = blend(buffer("mean"), gradient, momentum);
  const ahead = blend(mean, gradient, momentum);
  const scale = 0.2 * Math.sqrt(Math.max(...shape));
  return { step: multiply(orthogonalized(ahead), multiply(rate, scale)), moments: { mean } };
}

/** Brings the singular values of a matrix near 1 (0.68 to 1.13) by five Newton–Schulz iterations. */
function orthogonalized(x: Tensor): Tensor {
  const [a, b, c] = [3.4445, -4.775, 2.0315];
  const [rows, columns] = x.shape;
  const isTall = rows! > columns!;
  let y = divide(x, add(sqrt(sumOfSquares(x)), 1e-7));
  for (let i = 0; i < 5; i++) {
    const gram = matmul(y, y, isTall ? { transposeX: true } : { transposeY: true });
    const factor = add(multiply(gram, b), multiply(matmul(gram, gram), c));
    y = add(multiply(y, a), isTall ? matmul(y, factor) : matmul(factor, y));
  }
  return y;
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
