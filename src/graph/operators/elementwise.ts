/** @file Operators that work element by element, with NumPy's broadcasting. */
import type { Gradients, Tensor } from "../graph.ts";
import { type Attributes, float, MICROSOFT } from "../onnx-writer.ts";
import { operator } from "../operator.ts";
import { broadcastShapes, isKnown, ShapeError } from "../shape.ts";
import type { DType, TensorType } from "../types.ts";
import { broadcastTo, sumTo } from "./shape.ts";

/** A tensor, or a number that stands for a float32 scalar constant. */
export type Operand = Tensor | number;

function lift(x: Operand, y: Operand): [Tensor, Tensor] {
  const graph = typeof x === "number" ? (y as Tensor).graph : x.graph;
  const tensor = (operand: Operand) => (typeof operand === "number" ? graph.constant(operand) : operand);
  return [tensor(x), tensor(y)];
}

function binary(
  name: string,
  onnx: string,
  gradient?: (x: Tensor, y: Tensor, output: Tensor, upstream: Tensor) => readonly [Tensor, Tensor],
  result?: DType,
): (x: Operand, y: Operand) => Tensor {
  const apply = operator(name, {
    infer([x, y]) {
      if (x!.dtype !== y!.dtype)
        throw new ShapeError(`expected equal types, got ${x!.dtype} and ${y!.dtype}`);
      return { dtype: result ?? x!.dtype, shape: broadcastShapes(x!.shape, y!.shape) };
    },
    emit: (writer, inputs) => writer.node(onnx, inputs),
    ...(gradient && {
      gradient: ([x, y], output, upstream): Gradients => {
        const [dx, dy] = gradient(x!, y!, output, upstream);
        return [sumTo(x!, dx), sumTo(y!, dy)];
      },
    }),
  });
  return (x, y) => apply(lift(x, y), {});
}

/** x + y */
export const add = binary("add", "Add", (_x, _y, _out, dout) => [dout, dout]);
/** x − y */
export const subtract = binary("subtract", "Sub", (_x, _y, _out, dout) => [dout, negate(dout)]);
/** x · y */
export const multiply = binary("multiply", "Mul", (x, y, _out, dout) => [
  multiply(dout, y),
  multiply(dout, x),
]);
/** x / y;  dY = −dOut · out / y */
export const divide = binary("divide", "Div", (_x, y, out, dout) => {
  const dx = divide(dout, y);
  return [dx, negate(multiply(dx, out))];
});
/** The larger of x and y; the gradient goes to x where they are equal. */
export const maximum = binary("maximum", "Max", (x, y, _out, dout) => share(less(x, y), dout));
/** The smaller of x and y; the gradient goes to x where they are equal. */
export const minimum = binary("minimum", "Min", (x, y, _out, dout) => share(less(y, x), dout));
/** x < y, as booleans. */
export const less = binary("less", "Less", undefined, "bool");
/** x = y, as booleans. */
export const equal = binary("equal", "Equal", undefined, "bool");

/** Passes `upstream` to the second operand where `second` is true, else to the first. */
function share(second: Tensor, upstream: Tensor): readonly [Tensor, Tensor] {
  const chosen = cast(second, "float32");
  return [multiply(upstream, subtract(1, chosen)), multiply(upstream, chosen)];
}

function unary(
  name: string,
  onnx: { readonly type: string; readonly attributes?: Attributes; readonly domain?: string },
  gradient: (x: Tensor, output: Tensor, upstream: Tensor) => Tensor,
): (x: Tensor) => Tensor {
  const apply = operator(name, {
    infer: ([x]) => x as TensorType,
    emit: (writer, inputs) => writer.node(onnx.type, inputs, onnx.attributes, onnx.domain),
    gradient: ([x], output, upstream) => [gradient(x!, output, upstream)],
  });
  return (x) => apply([x], {});
}

/** −x */
export const negate = unary("negate", { type: "Neg" }, (_x, _y, dy) => negate(dy));
/** eˣ */
export const exp = unary("exp", { type: "Exp" }, (_x, y, dy) => multiply(dy, y));
/** ln x */
export const log = unary("log", { type: "Log" }, (x, _y, dy) => divide(dy, x));
/** √x */
export const sqrt = unary("sqrt", { type: "Sqrt" }, (_x, y, dy) => divide(multiply(dy, 0.5), y));
/** 1 / x */
export const reciprocal = unary("reciprocal", { type: "Reciprocal" }, (_x, y, dy) =>
  negate(multiply(dy, multiply(y, y))),
);
/** |x|;  the gradient at 0 is 0. */
export const abs = unary("abs", { type: "Abs" }, (x, _y, dy) => multiply(dy, sign(x)));
/** −1, 0 or 1; its gradient is 0 everywhere. */
export const sign = unary("sign", { type: "Sign" }, (_x, _y, dy) => multiply(dy, 0));
/** max(x, 0);  dX = dY where Y > 0 */
export const relu = unary("relu", { type: "Relu" }, (_x, y, dy) => multiply(dy, sign(y)));
/** tanh x;  dX = dY · (1 − Y²) */
export const tanh = unary("tanh", { type: "Tanh" }, (_x, y, dy) => multiply(dy, subtract(1, multiply(y, y))));
/** σ(x) = 1 / (1 + e⁻ˣ) */
export const sigmoid = unary("sigmoid", { type: "Sigmoid" }, (_x, y, dy) =>
  multiply(dy, multiply(y, subtract(1, y))),
);
/** silu(x) = x σ(x), also called swish;  d = σ(x) + silu(x) (1 − σ(x)) */
export const silu = unary(
  "silu",
  { type: "QuickGelu", attributes: { alpha: float(1) }, domain: MICROSOFT },
  (x, y, dy) => {
    const gate = sigmoid(x);
    return multiply(dy, add(gate, multiply(y, subtract(1, gate))));
  },
);
/** x without a gradient. The straight-through estimator is `add(x, stopGradient(subtract(y, x)))`. */
export const stopGradient = (x: Tensor): Tensor => stop([x], {});
const stop = operator("stopGradient", {
  infer: ([x]) => x as TensorType,
  emit: (_writer, [x]) => x!,
});

/** xᵉ for a fixed exponent. */
export const power = (x: Tensor, exponent: number): Tensor => powerOf([x], { exponent });
const powerOf = operator<{ exponent: number }>("power", {
  infer: ([x]) => x as TensorType,
  emit: (writer, [x], { exponent }) => writer.node("Pow", [x!, writer.scalar(exponent)]),
  gradient: ([x], _y, dy, { exponent }) => [multiply(dy, multiply(power(x!, exponent - 1), exponent))],
});

/** x as another type; gradients pass between floating-point types only. */
export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : castTo([x], { dtype }));
const castTo = operator<{ dtype: DType }>("cast", {
  infer: ([x], { dtype }) => ({ dtype, shape: x!.shape }),
  emit: (writer, [x], { dtype }) => writer.cast(x!, dtype),
  gradient: ([x], _y, dy) => [x!.dtype.startsWith("float") ? cast(dy, x!.dtype) : null],
});

/** `x` where `condition` (bool) is true, else `y`. */
export const where = (condition: Tensor, x: Operand, y: Operand): Tensor => {
  const lifted = [x, y].map((operand) =>
    typeof operand === "number" ? condition.graph.constant(operand) : operand,
  );
  return select([condition, ...lifted], {});
};
const select = operator("where", {
  infer([condition, x, y]) {
    if (condition!.dtype !== "bool")
      throw new ShapeError(`expected a bool condition, got ${condition!.dtype}`);
    if (x!.dtype !== y!.dtype) throw new ShapeError(`expected equal types, got ${x!.dtype} and ${y!.dtype}`);
    return { dtype: x!.dtype, shape: broadcastShapes(condition!.shape, broadcastShapes(x!.shape, y!.shape)) };
  },
  emit: (writer, inputs) => writer.node("Where", inputs),
  gradient: ([condition, x, y], _out, dout) => [
    null,
    sumTo(x!, where(condition!, dout, 0)),
    sumTo(y!, where(condition!, 0, dout)),
  ],
});

/** x limited to [low, high]; no gradient where it is limited. */
export const clip = (x: Tensor, low: number, high: number): Tensor => minimum(maximum(x, low), high);

/** A float32 tensor of the shape of `x`, filled with `value`. */
export const fill = (x: Tensor, value: number): Tensor =>
  isKnown(x.shape) ? broadcastTo(x.graph.constant(value), x.shape) : filled([x], { value });
const filled = operator<{ value: number }>("fill", {
  infer: ([x]) => ({ dtype: "float32", shape: x!.shape }),
  emit: (writer, [x], { value }) => writer.node("Expand", [writer.scalar(value), writer.node("Shape", [x!])]),
});
