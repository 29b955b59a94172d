/** @file Softmax and the normalizations. */
import type { Tensor } from "../graph.ts";
import { float } from "../onnx-writer.ts";
import { operator, operators } from "../operator.ts";
import {
  formatShape,
  knownShape,
  multiplyDims,
  resolveAxis,
  type Shape,
  ShapeError,
  sameShape,
} from "../shape.ts";
import { add, multiply, subtract } from "./elementwise.ts";
import { mean, sum } from "./reduction.ts";
import { reshape } from "./shape.ts";

/** softmax(x)ᵢ = exp xᵢ / Σⱼ exp xⱼ along `axis`;  dX = Y ⊙ (dY − Σ dY ⊙ Y). */
export const softmax = (x: Tensor, axis = -1): Tensor =>
  softmaxAlong([x], { axis: resolveAxis(axis, x.rank) });
const softmaxAlong = operator<{ axis: number }>("softmax", {
  infer: ([x]) => x!,
  emit: (writer, inputs, { axis }) => writer.node("Softmax", inputs, { axis }),
  gradient: (_inputs, y, dy, { axis }) => [multiply(y, subtract(dy, sum(multiply(dy, y), axis)))],
});

/**
 * RMS normalization of the last axis: y = w ⊙ x̂ with x̂ = x·r, r = 1/√(mean x² + ε).
 * dX = r (g − x̂ · mean(g ⊙ x̂)) with g = dY ⊙ w (https://arxiv.org/abs/1910.07467).
 *
 * @param x `[…, width]` @param weight `[width]`
 */
export const rmsNorm = (x: Tensor, weight: Tensor, epsilon: number): Tensor =>
  rms([x, weight], { epsilon })[0]!;
const rms = operators<{ epsilon: number }>("rmsNorm", {
  results: 1,
  infer([x, weight]) {
    if (!sameShape(weight!.shape, x!.shape.slice(-1)))
      throw new ShapeError(
        `expected a weight ${formatShape(x!.shape.slice(-1))}, got ${formatShape(weight!.shape)}`,
      );
    return [x!, { dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] }];
  },
  emit: (writer, inputs, { epsilon }) =>
    writer.nodeOutputs("SimplifiedLayerNormalization", inputs, 2, {
      axis: -1,
      epsilon: float(epsilon),
      stash_type: 1,
    }),
  gradient([x, weight], [, scale], [dy]) {
    const unit = multiply(x!, scale!);
    const weighted = multiply(dy!, weight!);
    const dx = multiply(scale!, subtract(weighted, multiply(unit, mean(multiply(weighted, unit), -1))));
    const rows = x!.shape.slice(0, -1).map((_, i) => i);
    return [dx, sum(multiply(dy!, unit), rows, { keep: false })];
  },
});

/**
 * Zero mean and unit variance along the last axis: y = (x − μ)·r, r = 1/√(σ² + ε);
 * dX = r (dY − mean dY − y · mean(dY ⊙ y)) (https://arxiv.org/abs/1607.06450, without weight and bias).
 */
export const standardize = (x: Tensor, epsilon: number): Tensor => standard([x], { epsilon })[0]!;
const standard = operators<{ epsilon: number }>("standardize", {
  results: 1,
  infer([x]) {
    const statistics = { dtype: x!.dtype, shape: [...x!.shape.slice(0, -1), 1] };
    return [x!, statistics, statistics];
  },
  emit(writer, [x], { epsilon }, { inputs: [from] }) {
    const [width] = knownShape(from!.shape.slice(-1), "standardize");
    const inputs = [x!, writer.ones(width!)];
    return writer.nodeOutputs("LayerNormalization", inputs, 3, { axis: -1, epsilon: float(epsilon) });
  },
  gradient(_inputs, [y, , scale], [dy]) {
    const centred = subtract(dy!, mean(dy!, -1));
    return [multiply(scale!, subtract(centred, multiply(y!, mean(multiply(dy!, y!), -1))))];
  },
});

/** Layer normalization of the last axis with weight and bias, which may have leading axes (heads). */
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor =>
  add(multiply(standardize(x, epsilon), weight), bias);

/** Group normalization of x `[n, channels, height, width]`; weight and bias `[channels]`. */
export function groupNorm(x: Tensor, weight: Tensor, bias: Tensor, groups: number, epsilon: number): Tensor {
  const [n, channels, height, width] = x.shape;
  if (x.rank !== 4 || (channels as number) % groups !== 0)
    throw new ShapeError(
      `groupNorm: expected [n, channels, height, width] with ${groups} groups, got ${formatShape(x.shape)}`,
    );
  const grouped: Shape = [n!, groups, multiplyDims((channels as number) / groups, height!, width!)];
  const unit = reshape(standardize(reshape(x, grouped), epsilon), x.shape);
  const perChannel = (parameter: Tensor) => reshape(parameter, [channels!, 1, 1]);
  return add(multiply(unit, perChannel(weight)), perChannel(bias));
}
