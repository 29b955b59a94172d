/** @file Synthetic gathered pictures in memory: two styles of the same shapes, photographs, cutouts. */

import type {
  Bytes,
  Cutout,
  Gathered,
  IconLayer,
  IconSet,
  Photo,
} from "../../../src/tasks/gathered/index.ts";
import { hsv } from "../../../src/tasks/palette.ts";

const SIDE = 64;

/** RGBA bytes with the colours of `colorAt` in [0, 1]; transparent where it is undefined. */
function rgba(side: number, colorAt: (x: number, y: number) => readonly number[] | undefined): Bytes {
  const data = new Uint8Array(side * side * 4);
  for (let i = 0; i < side * side; i++) {
    const color = colorAt(((i % side) + 0.5) / side, (Math.floor(i / side) + 0.5) / side);
    if (color) data.set([...color.map((value) => Math.round(value * 255)), 255], i * 4);
  }
  return { width: side, height: side, channels: 4, data };
}

/** A disc of one colour; radius and centre in widths. */
const disc = (radius: number, x: number, y: number, color: readonly [number, number, number]): IconLayer => ({
  image: rgba(SIDE, (u, v) => (Math.hypot(u - x, v - y) < radius ? color : undefined)),
  color,
});

function iconSet(name: string, style: string, look: (i: number) => IconLayer[]): IconSet {
  const icons = Array.from({ length: 6 }, (_, i) => ({
    name: `thing-${i}`,
    words: `thing ${i}`,
    layers: () => look(i),
  }));
  return { name, style, family: "emoji", size: SIDE, icons: new Map(icons.map((icon) => [icon.name, icon])) };
}

const photo = (i: number): Photo => {
  const [width, height] = [120 + 10 * i, 100];
  const data = new Uint8Array(width * height * 3);
  for (let p = 0; p < width * height; p++) {
    const [x, y] = [p % width, Math.floor(p / width)];
    const wave = 0.5 + 0.5 * Math.sin(x / (4 + i) + (y * y) / 300);
    data.set(
      hsv(i / 5 + y / 400, 0.5, 0.3 + 0.7 * wave).map((value) => Math.round(value * 255)),
      p * 3,
    );
  }
  return { name: `photo-${i}`, words: `view ${i}`, image: { width, height, channels: 3, data } };
};

const cutout = (i: number): Cutout => ({
  name: `cutout-${i}`,
  words: `ball ${i}`,
  image: rgba(80, (x, y) => (Math.hypot(x - 0.5, y - 0.5) < 0.45 ? hsv(i / 4 + y / 5, 0.9, 0.9) : undefined)),
});

const colorOf = (i: number, k: number) =>
  hsv(i / 6 + k / 3, 0.85, k === 0 ? 0.9 : 0.55) as [number, number, number];

export const gathered: Gathered = {
  photos: Array.from({ length: 4 }, (_, i) => photo(i)),
  iconSets: [
    iconSet("icons-noto", "shaded emoji", (i) => [
      disc(0.45, 0.5, 0.5, colorOf(i, 0)),
      disc(0.2, 0.3 + i / 20, 0.4, colorOf(i, 1)),
    ]),
    iconSet("icons-twemoji", "flat emoji", (i) => [disc(0.4, 0.45, 0.55, colorOf(i, 2))]),
    iconSet("icons-fluent", "glossy emoji", (i) => [
      disc(0.42, 0.5, 0.5, colorOf(i, 1)),
      disc(0.15, 0.6, 0.3 + i / 20, colorOf(i, 0)),
    ]),
  ],
  cutouts: Array.from({ length: 4 }, (_, i) => cutout(i)),
  digest: "made up",
};
