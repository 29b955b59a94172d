/**
 * @file Batches of pictures for the image tokenizer: both sides of pairs of every family, unchanged gathered pictures,
 * and collages of these. A batch lists the matching cells: cells of the code grid that look the same, with their
 * surroundings, in two of its pictures. Matching cells should get equal codes: a transformer can only learn to copy an
 * unchanged region if its codes are unchanged, too.
 */
import { toPlanes } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { gridSide, type VqganConfig } from "../../chameleon/tokenizers/vqgan.ts";
import type { Image } from "../../image/index.ts";
import { Random } from "../../random.ts";
import { familiesOf, openWorlds, type WorldSettings } from "../../tasks/index.ts";
import { alone, partOf, type Share } from "../distributed/collective.ts";

export interface PictureOptions extends WorldSettings {
  readonly seed: number;
  /** Name of the random stream, which separates training and held-out pictures. */
  readonly part: "train" | "held out" | "codebook";
  readonly batch: number;
  readonly size: number;
  /** Cells along a side of the code grid. */
  readonly grid: number;
  /** Share of the pictures that are collages of two others. */
  readonly collages: number;
  /** The part of every batch to make. All of it by default. */
  readonly share?: Share;
}

export const pictureOptions = (
  { seed, batch, collages, pictures, worlds }: Omit<PictureOptions, "part" | "size" | "grid">,
  config: VqganConfig,
  part: PictureOptions["part"],
): PictureOptions => ({
  seed,
  part,
  batch,
  collages,
  pictures,
  worlds,
  size: config.resolution,
  grid: gridSide(config),
});

export interface PictureBatch {
  /** float32 `[batch, 3, size, size]` in [−1, 1]. */
  readonly pictures: Float32Array;
  /** int64 `[batch · grid²]`: for each cell, the index of a cell of the same share that looks the same, or its own. */
  readonly matches: BigInt64Array;
}

/** Invisible difference of two values in [0, 1]. */
const INVISIBLE = 0.01;

/** Share of gathered pictures that stay unchanged. The others become both sides of a change. */
const PLAIN = 0.5;

/** Batch `step`, or a share of it: a pure function of the options and the step. */
export function createSource(options: PictureOptions): (step: number) => PictureBatch {
  const { seed, part, batch, size, grid, collages, share = alone } = options;
  const worlds = openWorlds(options, part === "held out" ? "heldOut" : "train");
  const collageCount = Math.min(batch - 2, Math.round(collages * batch));
  const drawnCount = batch - collageCount;
  const { first, length } = partOf(batch, share, "batch");
  return (step) => {
    /** Both sides of a change, or two gathered pictures. */
    const pair = memoized((i) => {
      const random = Random.of(seed, "pictures", part, step, i);
      const world = worlds.draw(random);
      if (world && random.chance(PLAIN))
        return [world.picture(random, size).picture, world.picture(random, size).picture];
      const { input, output } = random
        .pick(familiesOf(worlds, world?.name))
        .draw(random)
        .pair(random, size, world);
      return [input, output];
    });
    const drawn = (i: number): Image => pair(i >> 1)[i % 2]!;
    const images: Image[] = [];
    const matches = BigInt64Array.from({ length: length * grid * grid }, (_, i) => BigInt(i));
    /** `picture` and `other` are numbers in the whole batch, cells are numbers in the share. */
    const link = (picture: number, other: number) => {
      if (other < first) return;
      const [a, b] = [picture - first, other - first];
      for (const cell of sameCells(images[a]!, images[b]!, grid))
        matches[a * grid ** 2 + cell] = BigInt(b * grid ** 2 + cell);
    };
    for (let i = first; i < first + length; i++) {
      if (i < drawnCount) {
        images.push(drawn(i));
        if (i % 2 === 1) link(i, i - 1);
        continue;
      }
      const random = Random.of(seed, "collage", part, step, i);
      const sources = random.pair([...Array(drawnCount).keys()]);
      images.push(collage(random, drawn(sources[0]), drawn(sources[1])));
      for (const source of sources) link(i, source);
    }
    return { pictures: toPlanes(images), matches };
  };
}

/** Computes the function once per argument. */
function memoized<T>(compute: (i: number) => T): (i: number) => T {
  const known = new Map<number, T>();
  return (i) => {
    const value = known.get(i) ?? compute(i);
    known.set(i, value);
    return value;
  };
}

/** Pastes a random rectangle of `laid` into `ground`. */
function collage(random: Random, ground: Image, laid: Image): Image {
  const { width, height } = ground;
  const span = (length: number) => {
    const extent = random.integer(Math.ceil(length / 4), Math.floor((3 * length) / 4));
    const start = random.integer(0, length - extent);
    return [start, start + extent] as const;
  };
  const [[left, right], [top, bottom]] = [span(width), span(height)];
  const data = ground.data.slice();
  for (let y = top; y < bottom; y++) {
    const [from, to] = [(y * width + left) * 3, (y * width + right) * 3];
    data.set(laid.data.subarray(from, to), from);
  }
  return { width, height, data };
}

/** Cells of the grid that look the same in both pictures, including half a cell around them. */
function sameCells(a: Image, b: Image, grid: number): number[] {
  const cell = a.width / grid;
  const margin = Math.floor(cell / 2);
  const isSame = (left: number, top: number): boolean => {
    for (let y = Math.max(0, top - margin); y < Math.min(a.height, top + cell + margin); y++)
      for (let x = Math.max(0, left - margin); x < Math.min(a.width, left + cell + margin); x++)
        for (let i = (y * a.width + x) * 3; i < (y * a.width + x + 1) * 3; i++)
          if (Math.abs(a.data[i]! - b.data[i]!) > INVISIBLE) return false;
    return true;
  };
  return Array.from({ length: grid * grid }, (_, i) => i).filter((i) =>
    isSame((i % grid) * cell, Math.floor(i / grid) * cell),
  );
}
