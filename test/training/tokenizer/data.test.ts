/** @file Batches for the image tokenizer: the matching cells of two pictures. */
import { expect, test } from "vitest";
import {
  createSource,
  type PictureBatch,
  type PictureOptions,
} from "../../../src/training/tokenizer/data.ts";

const options: PictureOptions = {
  ...{ seed: 1, part: "train", batch: 10, size: 32, grid: 4, collages: 0.4 },
  worlds: { scenes: 1, photos: 0, icons: 0 },
};
const CELLS = 16;
const steps = [0, 1, 2, 3, 4, 5];

/** Largest difference, in [0, 1], between cells of two pictures of a batch, with `margin` pixels around. */
function difference({ pictures }: PictureBatch, a: number, b: number, margin: number): number {
  const { size, grid } = options;
  const side = size / grid;
  const [cell, pixels] = [a % CELLS, size * size];
  const [left, top] = [(cell % grid) * side, Math.floor(cell / grid) * side];
  let most = 0;
  for (let y = Math.max(0, top - margin); y < Math.min(size, top + side + margin); y++)
    for (let x = Math.max(0, left - margin); x < Math.min(size, left + side + margin); x++)
      for (let c = 0; c < 3; c++) {
        const at = (picture: number) => pictures[(picture * 3 + c) * pixels + y * size + x]!;
        most = Math.max(most, Math.abs(at(Math.floor(a / CELLS)) - at(Math.floor(b / CELLS))) / 2);
      }
  return most;
}
const links = ({ matches }: PictureBatch) =>
  Array.from(matches, Number).flatMap((match, cell) => (match === cell ? [] : [[cell, match] as const]));

test("matching cells have the same position and look the same, including half a cell around", () => {
  const found = steps.flatMap((step) => {
    const batch = createSource(options)(step);
    return links(batch).map(([cell, match]) => {
      expect(match % CELLS).toBe(cell % CELLS);
      expect(difference(batch, cell, match, 4)).toBeLessThanOrEqual(0.0101);
      return Math.floor(cell / CELLS);
    });
  });
  // Matches of pairs and of collages. Collages come last.
  expect(found.some((picture) => picture < 6)).toBe(true);
  expect(found.some((picture) => picture >= 6)).toBe(true);
});

test("cells without a match differ between the pictures of a pair", () => {
  for (const step of steps) {
    const batch = createSource(options)(step);
    for (let cell = CELLS; cell < 6 * CELLS; cell++) {
      const isAfter = Math.floor(cell / CELLS) % 2 === 1;
      if (!isAfter) expect(Number(batch.matches[cell])).toBe(cell);
      else if (Number(batch.matches[cell]) === cell)
        expect(difference(batch, cell, cell - CELLS, 4)).toBeGreaterThan(0.0099);
    }
  }
});

test("a collage has cells of two pictures", () => {
  const sources = steps.flatMap((step) => {
    const found = links(createSource(options)(step)).filter(([cell]) => cell >= 6 * CELLS);
    return [6, 7, 8, 9].map((picture) => {
      const matches = found.filter(([cell]) => Math.floor(cell / CELLS) === picture);
      return new Set(matches.map(([, match]) => Math.floor(match / CELLS))).size;
    });
  });
  expect(Math.max(...sources)).toBe(2);
  expect(sources.filter((count) => count >= 1).length).toBeGreaterThan(sources.length / 2);
});

test("each step has its own batch; held-out pictures differ", () => {
  const batch = createSource(options)(3);
  expect(createSource({ ...options })(3)).toEqual(batch);
  expect(createSource(options)(4).pictures).not.toEqual(batch.pictures);
  expect(createSource({ ...options, part: "held out" })(3).pictures).not.toEqual(batch.pictures);
  expect(batch.pictures).toHaveLength(10 * 3 * 32 * 32);
});
