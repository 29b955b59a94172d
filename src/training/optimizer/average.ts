/**
 * @file Stochastic weight averaging (https://arxiv.org/abs/1803.05407): the mean of the weights over the last part of a
 * run, which is often better than the last weights. Checkpoints store it, so that a resumed run has the same mean.
 */
import type { Weight } from "../../chameleon/checkpoint/folder.ts";
import type { TrainingState } from "../run/state.ts";

export class WeightAverage {
  private readonly means: ReadonlyMap<string, Float32Array>;
  /** Number of averaged states. */
  private readonly count = new Float32Array(1);

  /**
   * @param from first averaged step
   * @param every steps between averaged states
   */
  constructor(
    private readonly state: TrainingState,
    private readonly from: number,
    private readonly every: number,
  ) {
    const names = [...state.parameters.keys()];
    this.means = new Map(names.map((name) => [name, new Float32Array(state.values(name).length)]));
  }

  /** The arrays that checkpoints store, by name. */
  get extras(): Record<string, Float32Array> {
    const named = [...this.means].map(([name, values]) => [`average of ${name}`, values]);
    return { "averaged states": this.count, ...Object.fromEntries(named) };
  }

  /** Adds the current weights to the mean if this step is due. */
  update(): void {
    const { step } = this.state;
    if (step < this.from || step % this.every !== 0) return;
    this.count[0]! += 1;
    const share = 1 / this.count[0]!;
    for (const [name, mean] of this.means) {
      const values = this.state.values(name);
      for (let i = 0; i < mean.length; i++) mean[i]! += (values[i]! - mean[i]!) * share;
    }
  }

  /** The mean, or the current weights before the first averaged step. */
  weights(): Map<string, Weight> {
    const weights = this.state.weights();
    if (this.count[0] === 0) return weights;
    return new Map([...weights].map(([name, weight]) => [name, { ...weight, data: this.means.get(name)! }]));
  }
}
