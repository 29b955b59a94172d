/** @file How pictures of the public data sets are measured: one meter for each condition, fed with what was drawn and the truth. */
import type { Image } from "../../image/index.ts";
import { publicSetTable } from "../../tasks/datasets/public-sets.ts";
import { paintOf, type Render } from "../../tasks/datasets/render.ts";
import { depthRmse, inEigenRows } from "../metrics/geometry.ts";
import { l1, l2, psnr } from "../metrics/pictures.ts";
import { classesByColor, MeanIoU } from "../metrics/segmentation.ts";
import { ssim } from "../metrics/ssim.ts";
import { type Estimate, estimate } from "../summary.ts";

export interface Meter {
  add(image: Image, truth: Image): void;
  figures(seed: number): Readonly<Record<string, Estimate | { readonly mean: number }>>;
}

/** Means, with intervals, of what is measured picture by picture. */
class PictureMeter implements Meter {
  private readonly columns = new Map<string, number[]>();

  constructor(private readonly measures: Readonly<Record<string, (image: Image, truth: Image) => number>>) {}

  add(image: Image, truth: Image): void {
    for (const [name, measure] of Object.entries(this.measures))
      this.columns.set(name, [...(this.columns.get(name) ?? []), measure(image, truth)]);
  }

  figures(seed: number) {
    return Object.fromEntries([...this.columns].map(([name, values]) => [name, estimate(values, seed)!]));
  }
}

/** mIoU of label maps, over all pictures at once. */
class LabelMeter implements Meter {
  private readonly palette: (readonly number[])[];
  private readonly score: MeanIoU;

  constructor(render: Extract<Render, { kind: "labels" }>) {
    const paint = paintOf(render);
    const classes = render.count - 1;
    this.palette = Array.from({ length: classes }, (_, i) => paint.color(i + 1, 8));
    this.score = new MeanIoU(classes);
  }

  add(image: Image, truth: Image): void {
    const label = classesByColor(truth, this.palette);
    // Black is what has no label.
    for (let i = 0; i < label.length; i++)
      if (Math.max(...truth.data.subarray(i * 3, i * 3 + 3)) === 0) label[i] = 0;
    this.score.add(classesByColor(image, this.palette), label);
  }

  figures() {
    return { miou: { mean: this.score.mean } };
  }
}

const restoration = (): Meter =>
  new PictureMeter({ psnr, ssim, ssimGaussian: (image, truth) => ssim(image, truth, "gaussian") });

const editing = (): Meter => new PictureMeter({ l1, l2, psnr });

function depth(): Meter {
  const render = publicSetTable.nyuv2.render as Extract<Render, { kind: "depth" }>;
  const paint = paintOf(render);
  // Black, what was not measured, first; then a colour for every step of 8 bits.
  const palette = Array.from({ length: 256 }, (_, step) => paint.color(step, 8));
  const metres = (image: Image, colors: readonly (readonly number[])[]) =>
    Float32Array.from(
      classesByColor(image, colors),
      (number) => (256 - colors.length + number - 1) * render.metres[8],
    );
  return new PictureMeter({
    rmse: (image, truth) =>
      depthRmse(
        metres(image, palette.slice(1)),
        metres(truth, palette),
        inEigenRows(image.width, image.height),
      ),
  });
}

const labels = (): Meter =>
  new LabelMeter(publicSetTable.ade20k.render as Extract<Render, { kind: "labels" }>);

export const protocols = { restoration, editing, depth, labels } as const;
