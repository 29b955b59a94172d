/**
 * @file mIoU of semantic segmentation as in the ADE20K scene parsing benchmark (http://sceneparsing.csail.mit.edu):
 * label 0 is ignored, intersections and unions are summed over all pictures, and the mean is over the classes that occur
 * or are predicted.
 */
import type { Image } from "../../image/index.ts";

/** The class with the nearest colour, per pixel. `palette[i]` is the colour of class i + 1, in [0, 1]. */
export function classesByColor(image: Image, palette: readonly (readonly number[])[]): Uint16Array {
  const { data } = image;
  return Uint16Array.from({ length: data.length / 3 }, (_, i) => {
    let best = 0;
    let smallest = Infinity;
    for (let k = 0; k < palette.length; k++) {
      const [r, g, b] = palette[k]!;
      const distance = (data[i * 3]! - r!) ** 2 + (data[i * 3 + 1]! - g!) ** 2 + (data[i * 3 + 2]! - b!) ** 2;
      if (distance >= smallest) continue;
      smallest = distance;
      best = k;
    }
    return best + 1;
  });
}

/** Accumulates pictures; `mean` is their mIoU. Labels are 0 (ignored) or 1 … `classes`. */
export class MeanIoU {
  private readonly intersections: Float64Array;
  private readonly predicted: Float64Array;
  private readonly labelled: Float64Array;

  constructor(private readonly classes: number) {
    this.intersections = new Float64Array(classes + 1);
    this.predicted = new Float64Array(classes + 1);
    this.labelled = new Float64Array(classes + 1);
  }

  /** @throws RangeError when the lengths differ, or a label is larger than the number of classes */
  add(prediction: ArrayLike<number>, label: ArrayLike<number>): void {
    if (prediction.length !== label.length)
      throw new RangeError(
        `mIoU: expected as many predictions as labels, got ${prediction.length} and ${label.length}`,
      );
    for (let i = 0; i < label.length; i++) {
      const [guess, truth] = [prediction[i]!, label[i]!];
      if (Math.max(guess, truth) > this.classes)
        throw new RangeError(`mIoU: expected classes up to ${this.classes}, got ${Math.max(guess, truth)}`);
      if (truth === 0) continue;
      this.predicted[guess]!++;
      this.labelled[truth]!++;
      if (guess === truth) this.intersections[truth]!++;
    }
  }

  /** Intersection over union per class, from class 1 on. NaN for classes that neither occur nor are predicted. */
  perClass(): number[] {
    return Array.from({ length: this.classes }, (_, i) => {
      const both = this.intersections[i + 1]!;
      return both / (this.predicted[i + 1]! + this.labelled[i + 1]! - both);
    });
  }

  /** In [0, 1]; NaN without pictures. */
  get mean(): number {
    const known = this.perClass().filter((value) => !Number.isNaN(value));
    return known.reduce((sum, value) => sum + value, 0) / known.length;
  }
}
