/**
 * @file Tasks over gathered icons. A style pair shows one icon in two sets of a family, and asks for another icon in the
 * second set's style. An edit recolours or removes one flat layer, in both pairs the layer of the same colour.
 */
import type { Image } from "../../image/index.ts";
import type { Icon, IconLayer, IconSet } from "../../tasks/gathered/index.ts";
import type { Random } from "../../tasks/index.ts";
import { rmse } from "../metrics/pictures.ts";
import { iconPicture, recoloured } from "./pictures.ts";

export interface IconTask {
  /** For labels. */
  readonly what: string;
  readonly example: { readonly input: Image; readonly output: Image };
  readonly input: Image;
  readonly output: Image;
}

export interface StyleTask extends IconTask {
  /** The answer among other icons of the same style. */
  readonly candidates: readonly Image[];
  /** Where the answer is. */
  readonly answer: number;
}

/** Icons that an answer is looked for among. */
export const CANDIDATES = 50;

export interface StylePair {
  readonly from: IconSet;
  readonly to: IconSet;
  /** Names that both sets have. */
  readonly names: readonly string[];
}

/** The ordered pairs of sets of one family that share two icons and have enough others, by family. */
export function stylePairs(sets: readonly IconSet[]): ReadonlyMap<string, readonly StylePair[]> {
  const pairs = new Map<string, StylePair[]>();
  for (const from of sets)
    for (const to of sets) {
      if (from === to || from.family !== to.family || to.icons.size < CANDIDATES) continue;
      const names = [...from.icons.keys()].filter((name) => to.icons.has(name)).sort();
      if (names.length >= 2) pairs.set(from.family, [...(pairs.get(from.family) ?? []), { from, to, names }]);
    }
  return pairs;
}

/** The example's own answer is always among the candidates: a copy of the example must not pass. */
export function drawStyleTask({ from, to, names }: StylePair, random: Random, size: number): StyleTask {
  const [shown, asked] = random.pair(names);
  const picture = (set: IconSet, name: string) => iconPicture(set.icons.get(name)!.layers(), size);
  const rest = random.shuffle([...to.icons.keys()].sort().filter((name) => name !== shown && name !== asked));
  const candidates = random.shuffle([asked, shown, ...rest.slice(0, CANDIDATES - 2)]);
  return {
    what: `${asked}: ${from.style} to ${to.style}`,
    example: { input: picture(from, shown), output: picture(to, shown) },
    input: picture(from, asked),
    output: picture(to, asked),
    candidates: candidates.map((name) => picture(to, name)),
    answer: candidates.indexOf(asked),
  };
}

export const edits = ["recolour", "remove"] as const;
export type Edit = (typeof edits)[number];

type Color = NonNullable<IconLayer["color"]>;

/** Icons of one set in which exactly one flat layer has a colour. */
interface Editable {
  readonly color: Color;
  readonly icons: readonly { readonly icon: Icon; readonly layer: number }[];
}

/** Icons of each set that are looked at. */
const LOOKED_AT = 400;
/** Side in pixels, and least RMSE, of what must be seen to change. */
const LOOK = 32;
const VISIBLE = 0.03;

/** What can be edited in the sets: colours that two icons of a set have in one visible layer each. */
export function editablesOf(sets: readonly IconSet[], random: Random): readonly Editable[] {
  return sets.flatMap((set) => {
    const byColor = new Map<string, { color: Color; icons: { icon: Icon; layer: number }[] }>();
    const names = random.shuffle([...set.icons.keys()].sort()).slice(0, LOOKED_AT);
    for (const name of names) {
      const icon = set.icons.get(name)!;
      for (const { color, layer } of visibleFlatLayers(icon.layers())) {
        const key = keyOf(color);
        const known = byColor.get(key) ?? { color, icons: [] };
        known.icons.push({ icon, layer });
        byColor.set(key, known);
      }
    }
    return [...byColor.values()].filter(({ icons }) => icons.length >= 2);
  });
}

/** The flat layers whose colour no other layer has, and whose removal is seen. */
function visibleFlatLayers(
  layers: readonly IconLayer[],
): { readonly color: Color; readonly layer: number }[] {
  if (layers.length < 2) return [];
  const keys = layers.map(({ color }) => color && keyOf(color));
  const whole = iconPicture(layers, LOOK);
  return layers.flatMap(({ color }, layer) => {
    const isAlone = keys.filter((key) => key === keys[layer]).length === 1;
    if (!color || !isAlone) return [];
    return rmse(whole, iconPicture(layers.toSpliced(layer, 1), LOOK)) > VISIBLE ? [{ color, layer }] : [];
  });
}

const keyOf = (color: Color): string => color.map((value) => Math.round(255 * value)).join(" ");

const paints: readonly Color[] = [
  [0.85, 0.12, 0.15],
  [0.95, 0.55, 0.1],
  [0.98, 0.85, 0.2],
  [0.15, 0.65, 0.3],
  [0.1, 0.6, 0.75],
  [0.15, 0.3, 0.8],
  [0.55, 0.25, 0.7],
  [0.1, 0.1, 0.12],
];
/** Least distance between the old and the new colour. */
const OTHER = 0.4;

export function drawEdit(edit: Edit, { color, icons }: Editable, random: Random, size: number): IconTask {
  const paint = random.pick(
    paints.filter((paint) => Math.hypot(...paint.map((v, c) => v - color[c]!)) > OTHER),
  );
  const [shown, asked] = random.pair(icons);
  const pair = ({ icon, layer }: Editable["icons"][number]) => {
    const layers = icon.layers();
    const changed = edit === "remove" ? [] : [recoloured(layers[layer]!, paint)];
    return {
      input: iconPicture(layers, size),
      output: iconPicture(layers.toSpliced(layer, 1, ...changed), size),
    };
  };
  return { what: `${asked.icon.name}: ${edit}`, example: pair(shown), ...pair(asked) };
}
