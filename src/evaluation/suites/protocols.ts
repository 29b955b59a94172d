/** @file Metrics of the public data sets. Each condition has a meter that accumulates results and truths. */
import type { Image } from "../../image/index.ts";
import type { PairRecord } from "../../tasks/datasets/index.ts";
import { publicSetTable } from "../../tasks/datasets/public-sets.ts";
import { paintOf, type Render, renderMap } from "../../tasks/datasets/render.ts";
import type { Estimate } from "../metrics/bootstrap.ts";
import { depthRmse, inEigenRows } from "../metrics/geometry.ts";
import { boundedPsnr, l1, l2 } from "../metrics/pictures.ts";
import { classesByColor, MeanIoU } from "../metrics/segmentation.ts";
import { ssim } from "../metrics/ssim.ts";
import { estimate } from "../summary.ts";

/** The truth of one picture. */
export interface Truth {
  readonly picture: Image;
  /** Depth in metres per pixel, from the stored map; 0 where nothing was measured. */
  readonly metres?: Float32Array;
}

export interface Protocol {
  meter(): Meter;
  /** Reads further values of the truth from the stored record. */
  readonly stored?: (record: PairRecord, size: number) => Promise<Omit<Truth, "picture">>;
}

export interface Meter {
  add(image: Image, truth: Truth): void;
  /** Number of pictures without evaluated pixels, which the figures exclude. */
  readonly unjudged: number;
  /** The figures; null if no picture was evaluated. */
  figures(seed: number): Readonly<Record<string, Estimate | { readonly mean: number } | null>>;
}

/** Means with intervals of metrics per picture. A metric is NaN if the picture has no evaluated pixel. */
class PictureMeter implements Meter {
  private readonly rows: (readonly number[])[] = [];
  unjudged = 0;

  constructor(private readonly measures: Readonly<Record<string, (image: Image, truth: Truth) => number>>) {}

  add(image: Image, truth: Truth): void {
    const row = Object.values(this.measures).map((measure) => measure(image, truth));
    if (row.some(Number.isNaN)) this.unjudged++;
    else this.rows.push(row);
  }

  figures(seed: number) {
    const column = (index: number) => this.rows.map((row) => row[index]!);
    return Object.fromEntries(
      Object.keys(this.measures).map((name, index) => [name, estimate(column(index), seed) ?? null]),
    );
  }
}

/** mIoU of label maps, over all pictures at once. */
class LabelMeter implements Meter {
  private readonly palette: (readonly number[])[];
  private readonly score: MeanIoU;
  private judged = 0;
  unjudged = 0;

  constructor(render: Extract<Render, { kind: "labels" }>) {
    const paint = paintOf(render);
    const classes = render.count - 1;
    this.palette = Array.from({ length: classes }, (_, i) => paint.color(i + 1, 8));
    this.score = new MeanIoU(classes);
  }

  add(image: Image, { picture }: Truth): void {
    const label = classesByColor(picture, this.palette);
    // Black pixels have no label.
    for (let i = 0; i < label.length; i++)
      if (Math.max(...picture.data.subarray(i * 3, i * 3 + 3)) === 0) label[i] = 0;
    if (label.some((each) => each > 0)) this.judged++;
    else this.unjudged++;
    this.score.add(classesByColor(image, this.palette), label);
  }

  figures() {
    return { miou: this.judged > 0 ? { mean: this.score.mean } : null };
  }
}

const restoration: Protocol = {
  meter: () =>
    new PictureMeter({
      psnr: (image, { picture }) => boundedPsnr(image, picture),
      ssim: (image, { picture }) => ssim(image, picture),
      ssimGaussian: (image, { picture }) => ssim(image, picture, "gaussian"),
    }),
};

const editing: Protocol = {
  meter: () =>
    new PictureMeter({
      l1: (image, { picture }) => l1(image, picture),
      l2: (image, { picture }) => l2(image, picture),
      psnr: (image, { picture }) => boundedPsnr(image, picture),
    }),
};

const depthRender = publicSetTable.nyuv2.render as Extract<Render, { kind: "depth" }>;

const depth: Protocol = {
  meter: depthMeter,
  // Renders the map with metres as colours.
  stored: async ({ output }, size) => {
    const { data } = await renderMap(output, size, {
      color: (value, bits) => {
        const metres = value * depthRender.metres[bits];
        return [metres, metres, metres];
      },
    });
    return { metres: data.filter((_, i) => i % 3 === 0) };
  },
};

/** Converts colours to depths in steps of 8 bits, from `near` on. Nearer points have the colour of `near`. */
function depthMeter(): Meter {
  const paint = paintOf(depthRender);
  const step = depthRender.metres[8];
  const first = Math.ceil(depthRender.near / step);
  const palette = Array.from({ length: 256 - first }, (_, i) => paint.color(first + i, 8));
  const metresOf = (image: Image) =>
    Float32Array.from(classesByColor(image, palette), (number) => (first + number - 1) * step);
  return new PictureMeter({
    rmse: (image, { metres }) => depthRmse(metresOf(image), metres!, inEigenRows(image.width, image.height)),
  });
}

const labels: Protocol = {
  meter: () => new LabelMeter(publicSetTable.ade20k.render as Extract<Render, { kind: "labels" }>),
};

export const protocols = { restoration, editing, depth, labels } as const satisfies Record<string, Protocol>;
