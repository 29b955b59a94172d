/** @file Icons as a world: one icon, or a few in a row or a grid, on a contrasting background. */
import { luma, lumaAt } from "../../image/filters.ts";
import type { Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import type { Icon, IconSet, Photo } from "../gathered/index.ts";
import { withArticle } from "../world/caption.ts";
import { colorNames, colors } from "../world/scene.ts";
import { drawBackdrop } from "./backdrop.ts";
import { type Place, type Sprite, silhouette, spriteOf, stacked, stamp } from "./sprite.ts";
import { plainWords } from "./words.ts";
import type { CaptionedPicture, World } from "./world.ts";

/** Size of the cache of decoded icons, which take 64 KB each. */
const iconsKept = 256;
const kept = new Map<Icon, Sprite>();

/** The icon as a whole. */
export function iconSprite(icon: Icon): Sprite {
  const known = kept.get(icon);
  if (known) return known;
  const sprite = stacked(icon.layers().map(({ image }) => spriteOf(image)));
  if (kept.size >= iconsKept) kept.delete(kept.keys().next().value!);
  kept.set(icon, sprite);
  return sprite;
}

interface Tone {
  readonly light: number;
  readonly chroma: number;
}
const tones = new WeakMap<Sprite, Tone>();

/** Mean luma of a sprite's visible pixels, and the mean distance of their colours from gray. */
export function toneOf(sprite: Sprite): Tone {
  const known = tones.get(sprite);
  if (known) return known;
  const { data } = sprite;
  let [light, chroma, painted] = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = [data[i]!, data[i + 1]!, data[i + 2]!];
    light += luma(r, g, b);
    chroma += Math.max(r, g, b) - Math.min(r, g, b);
    painted += data[i + 3]!;
  }
  const tone = { light: light / (painted || 1), chroma: chroma / (painted || 1) };
  tones.set(sprite, tone);
  return tone;
}

/** Whether a sprite is black, white or gray everywhere. */
export const isInk = (sprite: Sprite): boolean => toneOf(sprite).chroma < 0.02;

const meanLuma = ({ data }: Image): number => {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += lumaAt(data, i);
  return sum / (data.length / 3);
};

/** The least difference between the mean lumas of icons and background. */
const contrast = 0.22;

/** Whether the sprites contrast with the background. */
export function standsOut(ground: Image, sprites: readonly Sprite[]): boolean {
  const light = meanLuma(ground);
  return sprites.every((sprite) => Math.abs(toneOf(sprite).light - light) >= contrast);
}

/** A random background; of several tries the first that contrasts with all the sprites, else the last. */
export function drawGround(
  random: Random,
  size: number,
  photos: readonly Photo[],
  sprites: readonly Sprite[],
): Image {
  let ground = drawBackdrop(random, size, photos);
  for (let tries = 0; tries < 12 && !standsOut(ground, sprites); tries++)
    ground = drawBackdrop(random, size, photos);
  return ground;
}

/** Share of single icons that fill the picture, as icons in files do. */
const FILLING = 0.35;

/** The place of a single icon: the whole picture, or a part of it near the centre. */
export function drawPlace(random: Random): Place {
  if (random.chance(FILLING)) return { x: 0.5, y: 0.5, side: 1 };
  const side = random.uniform(0.5, 0.9);
  const slack = (0.96 - side) / 2;
  return { x: 0.5 + random.uniform(-slack, slack), y: 0.5 + random.uniform(-slack, slack), side };
}

/** Places of 1 to 4 icons: alone, in a row, or in a grid. */
function drawPlaces(random: Random, count: number): Place[] {
  if (count === 1) return [drawPlace(random)];
  const columns = count === 4 ? 2 : count;
  const cell = 0.96 / columns;
  const side = cell * random.uniform(0.78, 0.95);
  const [left, top] = [0.5 - (cell * columns) / 2, 0.5 - (cell * Math.ceil(count / columns)) / 2];
  return Array.from({ length: count }, (_, i) => ({
    x: left + ((i % columns) + 0.5) * cell,
    y: top + (Math.floor(i / columns) + 0.5) * cell,
    side,
  }));
}

/** Occasional colours of ink drawings, with words for them. */
function drawInk(random: Random): { readonly name: string; readonly sprite: (of: Sprite) => Sprite } {
  const name = random.pick(colorNames);
  return { name, sprite: (of) => silhouette(of, colors[name]) };
}

export class IconWorld implements World {
  readonly name = "icons";

  constructor(
    private readonly sets: readonly IconSet[],
    private readonly photos: readonly Photo[],
  ) {}

  picture(random: Random, size: number): CaptionedPicture {
    const set = random.pick(this.sets);
    const names = namesOf(set);
    const count = random.pick([1, 2, 3, 4], [17, 1, 1, 1]);
    const icons = Array.from({ length: count }, () => set.icons.get(random.pick(names))!);
    let sprites = icons.map(iconSprite);
    const ink = sprites.every(isInk) && random.chance(0.4) ? drawInk(random) : undefined;
    if (ink) sprites = sprites.map(ink.sprite);
    const picture = drawGround(random, size, this.photos, sprites);
    for (const [i, place] of drawPlaces(random, count).entries()) stamp(picture, sprites[i]!, place);
    const name = plainWords(icons[0]!.words);
    if (count > 1 || name === "") return { picture };
    const style = ink ? `${ink.name} ${set.style}` : set.style;
    return { picture, words: random.pick([`${withArticle(name)}, ${style}`, `${name}, ${style}`, name]) };
  }
}

const namesKept = new WeakMap<IconSet, readonly string[]>();

/** Names of a set's icons, in its order. */
export function namesOf(set: IconSet): readonly string[] {
  let names = namesKept.get(set);
  if (!names) {
    names = [...set.icons.keys()];
    namesKept.set(set, names);
  }
  return names;
}
