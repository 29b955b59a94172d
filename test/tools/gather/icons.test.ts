import { expect, test } from "vitest";
import { renderIcon } from "../../../tools/gather/icons/render.ts";

const icon = (body: string) => ({ name: "x", words: "x", source: `<svg viewBox="0 0 64 64">${body}</svg>` });
const whole = { fit: "canvas" } as const;

const back = '<rect width="64" height="64" fill="#ff0000"/>';
const front = '<circle cx="32" cy="32" r="10" fill="#0000ff"/>';

test("painted parts become layers with their flat colours, bottom first", async () => {
  const layers = await renderIcon(icon(`<g fill="none">${back}${front}</g>`), whole);
  expect(layers.map(({ color }) => color)).toEqual([
    [1, 0, 0],
    [0, 0, 1],
  ]);
  const centre = (32 * 64 + 32) * 4;
  expect([...layers[0]!.data.subarray(centre, centre + 4)]).toEqual([255, 0, 0, 255]);
});

test("a group that is faded as a whole stays whole", async () => {
  const layers = await renderIcon(icon(`<g opacity=".5">${back}${front}</g>`), whole);
  expect(layers).toHaveLength(1);
  expect(layers[0]!.color).toBeUndefined();
});

test("parts that are not the drawing by themselves are not split: one is used by another", async () => {
  const shared = '<circle id="a" cx="32" cy="32" r="10" fill="#00f"/><use href="#a" x="20"/>';
  expect(await renderIcon(icon(shared), whole)).toHaveLength(1);
});

test("what is painted is centred, with a margin", async () => {
  const [layer] = await renderIcon(icon('<rect width="60" height="30" fill="#000"/>'), { fit: "content" });
  const row = Array.from({ length: 64 }, (_, x) => layer!.data[(32 * 64 + x) * 4 + 3]! > 128);
  const margins = [row.indexOf(true), 63 - row.lastIndexOf(true)];
  for (const margin of margins) expect(Math.abs(margin - 4)).toBeLessThanOrEqual(1);
});

test("a drawing that paints nothing gives no layer", async () => {
  expect(await renderIcon(icon('<path d="M0 0"/>'), whole)).toEqual([]);
});
