/** @file How pictures of the public data sets are measured: one meter for each condition, fed with what was drawn and the truth. */
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

/** What a drawing is measured against. */
export interface Truth {
  readonly picture: Image;
  /** Of a depth map as it is stored: metres, a number for every pixel of the picture, 0 where nothing was measured. */
  readonly metres?: Float32Array;
}

export interface Protocol {
  meter(): Meter;
  /** What there is to know of the truth beside its picture. */
  readonly stored?: (record: PairRecord, size: number) => Promise<Omit<Truth, "picture">>;
}

export interface Meter {
  add(image: Image, truth: Truth): void;
  /** Pictures without a pixel that is judged, which no figure has. */
  readonly unjudged: number;
  /** Null where nothing was judged. */
  figures(seed: number): Readonly<Record<string, Estimate | { readonly mean: number } | null>>;
}

/** Means, with intervals, of what is measured picture by picture; NaN where a picture has no pixel that is judged. */
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
    // Black is what has no label.
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
  // A map whose paint is its metres.
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

/** Colours are read in steps of 8 bits, from `near` on: all that is nearer has the colour of `near`. */
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
