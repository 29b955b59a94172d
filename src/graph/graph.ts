/**
 * @file The graph: tensors, the operator applications that compute them, parameters, inputs and scopes.
 *
 * Building is cheap and lazy. Equal applications (same operator, inputs and attributes) are shared, and only what an
 * exported output depends on is written to ONNX.
 */
import type { OnnxWriter } from "./onnx-writer.ts";
import { formatShape, locate, type Shape, ShapeError, sizeOf } from "./shape.ts";
import { type ConstantData, type DType, keyOf, type TensorType } from "./types.ts";

/** d(loss)/d(input) for each input; null where there is no gradient. */
export type Gradients = readonly (Tensor | null)[];

/** The rules of an operator. `operator` declares one. */
export interface Operator<A = unknown> {
  readonly name: string;
  /** Number of outputs a loss may depend on; the others are for the gradient rule only. Defaults to all. */
  readonly results?: number;
  /** Types of the outputs. @throws ShapeError when the inputs do not fit; the caller adds the layer path. */
  infer(inputs: readonly Tensor[], attributes: A): TensorType | readonly TensorType[];
  /** Writes ONNX nodes and returns the name of each output's value. `application` has the types. */
  emit(
    onnx: OnnxWriter,
    inputs: readonly string[],
    attributes: A,
    application: Application<A>,
  ): string | readonly string[];
  /**
   * d(loss)/d(inputs) from d(loss)/d(outputs), as graph again; null for an input without a gradient. `upstream` holds
   * null for an output that the loss does not depend on. An operator without this member passes no gradient.
   */
  gradient?(
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    upstream: readonly (Tensor | null)[],
    attributes: A,
  ): Gradients;
}

/** One use of an operator: inputs, attributes and output tensors. */
export interface Application<A = unknown> {
  readonly operator: Operator<A>;
  readonly inputs: readonly Tensor[];
  readonly attributes: A;
  readonly outputs: readonly Tensor[];
  /** Layer path at which it was built, e.g. `model.layers.3.self_attn`. */
  readonly path: string;
}

/** The origin of a tensor. */
export type Source =
  | { readonly kind: "application"; readonly application: Application; readonly index: number }
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "constant"; readonly data: ConstantData };

/** A typed value in a graph; its elements are computed when the graph runs. */
export class Tensor implements TensorType {
  constructor(
    readonly graph: Graph,
    /** Position in order of creation: an application's inputs always come before its outputs. */
    readonly id: number,
    readonly dtype: DType,
    readonly shape: Shape,
    readonly source: Source,
  ) {}

  get rank(): number {
    return this.shape.length;
  }
}

export class Graph {
  readonly inputs = new Map<string, Tensor>();
  readonly parameters = new Map<string, Tensor>();
  private readonly applications = new Map<Operator, Map<string, Application>>();
  private readonly constants = new Map<string, Tensor>();
  private readonly path: string[] = [];
  private count = 0;

  /** A value fed at every run. @throws ShapeError when the name exists with another type. */
  input(name: string, dtype: DType, shape: Shape): Tensor {
    return this.named(this.inputs, "input", name, dtype, shape);
  }

  /** A weight; the export writes it as an initializer or as an input. Calling it again returns the same tensor. */
  parameter(name: string, shape: Shape, dtype: DType = "float32"): Tensor {
    return this.named(this.parameters, "parameter", name, dtype, shape);
  }

  /** A value known when the graph is built. Equal scalars and small arrays are shared. */
  constant(data: number | readonly number[] | ConstantData, shape?: Shape, dtype?: DType): Tensor {
    const values =
      typeof data === "number" ? Float32Array.of(data) : Array.isArray(data) ? Float32Array.from(data) : data;
    const held = values as ConstantData;
    const type =
      dtype ?? (held instanceof BigInt64Array ? "int64" : held instanceof Uint8Array ? "uint8" : "float32");
    const dims = shape ?? (typeof data === "number" ? [] : [held.length]);
    if (sizeOf(dims) !== held.length)
      throw new ShapeError(
        `constant: expected ${sizeOf(dims)} values for ${formatShape(dims)}, got ${held.length}`,
      );
    const make = () => this.tensor(type, dims, { kind: "constant", data: held });
    if (held.length > 64) return make();
    const key = `${type}${formatShape(dims)}${Array.from<number | bigint, string>(held, keyOf).join()}`;
    return getOrAdd(this.constants, key, make);
  }

  /** A scope that prefixes parameter names, as `scope.at("layers.0")`. */
  scope(): Scope {
    return new Scope(this, "");
  }

  /** Runs `build` with `name` added to the layer path of errors and applications. */
  within<T>(name: string, build: () => T): T {
    this.path.push(name);
    try {
      return build();
    } catch (error) {
      throw locate(error, this.path.join("."));
    } finally {
      this.path.pop();
    }
  }

  /** @internal Applies an operator; `operator()` wraps this in a function. */
  apply<A>(operator: Operator<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
    if (inputs.some((input) => input.graph !== this))
      throw new ShapeError(`${operator.name}: expected inputs of one graph, got tensors of several`);
    const applications = getOrAdd(this.applications, operator as Operator, () => new Map());
    const key = `${inputs.map((input) => input.id).join()} ${JSON.stringify(attributes, distinct)}`;
    const known = applications.get(key);
    if (known) return known.outputs;
    const path = this.path.join(".");
    const types = inferTypes(operator, inputs, attributes, path);
    const outputs: Tensor[] = [];
    const application: Application<A> = { operator, inputs, attributes, outputs, path };
    for (const [index, type] of types.entries()) {
      const source: Source = { kind: "application", application: application as Application, index };
      outputs.push(this.tensor(type.dtype, type.shape, source));
    }
    applications.set(key, application as Application);
    return outputs;
  }

  private named(
    known: Map<string, Tensor>,
    kind: "input" | "parameter",
    name: string,
    dtype: DType,
    shape: Shape,
  ): Tensor {
    const tensor = getOrAdd(known, name, () => this.tensor(dtype, shape, { kind, name }));
    if (tensor.dtype !== dtype || formatShape(tensor.shape) !== formatShape(shape))
      throw new ShapeError(
        `${kind} ${name}: expected ${tensor.dtype} ${formatShape(tensor.shape)} as before, got ${dtype} ${formatShape(shape)}`,
      );
    return tensor;
  }

  private tensor(dtype: DType, shape: Shape, source: Source): Tensor {
    return new Tensor(this, this.count++, dtype, shape, source);
  }
}

/** Names parameters by their layer path in the model, and adds that path to errors. */
export class Scope {
  constructor(
    readonly graph: Graph,
    readonly path: string,
  ) {}

  at(name: string | number): Scope {
    return new Scope(this.graph, this.path ? `${this.path}.${name}` : String(name));
  }

  /** Builds a layer: parameters and errors inside carry its name. */
  in<T>(name: string | number, build: (scope: Scope) => T): T {
    return this.graph.within(String(name), () => build(this.at(name)));
  }

  parameter(name: string, shape: Shape, dtype?: DType): Tensor {
    return this.graph.parameter(this.path ? `${this.path}.${name}` : name, shape, dtype);
  }
}

function inferTypes<A>(
  operator: Operator<A>,
  inputs: readonly Tensor[],
  attributes: A,
  path: string,
): readonly TensorType[] {
  try {
    const types = operator.infer(inputs, attributes);
    return Array.isArray(types) ? types : [types as TensorType];
  } catch (error) {
    throw locate(error, `${path || "graph"}: ${operator.name}`);
  }
}

/** Distinguishes the numbers that JSON writes as null: ±∞ and NaN. */
function distinct(_name: string, value: unknown): unknown {
  return typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
    ? keyOf(value)
    : value;
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
