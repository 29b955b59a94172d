/**
 * @file Tasks with gathered icons. A style task shows one icon in two sets of a family, and asks for another icon in the
 * style of the second set. An edit recolours or removes one flat layer, which has the same colour in example and query.
 */
import type { Image } from "../../image/index.ts";
import { isHeldOutStyle } from "../../tasks/families/icons/styles.ts";
import type { Icon, IconLayer, IconSet } from "../../tasks/gathered/index.ts";
import type { Random } from "../../tasks/index.ts";
import { rmse } from "../metrics/pictures.ts";
import { iconPicture, recoloured } from "./pictures.ts";

export interface IconTask {
  /** Label. */
  readonly what: string;
  readonly example: { readonly input: Image; readonly output: Image };
  readonly input: Image;
  readonly output: Image;
}

export interface StyleTask extends IconTask {
  /** The answer and other icons of the same style. */
  readonly candidates: readonly Image[];
  /** Index of the answer. */
  readonly answer: number;
}

/** Candidates per task, including the answer. */
export const CANDIDATES = 50;

export interface StylePair {
  readonly from: IconSet;
  readonly to: IconSet;
  /** Names of the icons in both sets. */
  readonly names: readonly string[];
}

/**
 * The ordered pairs of sets of one family that share at least two icons and have enough candidates, by family.
 * @param heldOut the pairs that training never shows; or else the others
 */
export function stylePairs(
  sets: readonly IconSet[],
  heldOut: boolean,
): ReadonlyMap<string, readonly StylePair[]> {
  const pairs = new Map<string, StylePair[]>();
  for (const from of sets)
    for (const to of sets) {
      if (from === to || from.family !== to.family || to.icons.size < CANDIDATES) continue;
      if (isHeldOutStyle(from, to) !== heldOut) continue;
      const names = [...from.icons.keys()].filter((name) => to.icons.has(name)).sort();
      if (names.length >= 2) pairs.set(from.family, [...(pairs.get(from.family) ?? []), { from, to, names }]);
    }
  return pairs;
}

/** Samples a style task. The example's output is always a candidate, so that a copy of the example fails. */
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

/** Maximum number of icons per set that are examined. */
const EXAMINED = 400;
/** A change is visible if it causes this RMSE at this size in pixels. */
const VISIBLE_AT = 32;
const VISIBLE = 0.03;

/** Finds what can be edited: colours that at least two icons of a set have in exactly one visible layer. */
export function editablesOf(sets: readonly IconSet[], random: Random): readonly Editable[] {
  return sets.flatMap((set) => {
    const byColor = new Map<string, { color: Color; icons: { icon: Icon; layer: number }[] }>();
    const names = random.shuffle([...set.icons.keys()].sort()).slice(0, EXAMINED);
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

/** The flat layers with a unique colour whose removal is visible. */
function visibleFlatLayers(
  layers: readonly IconLayer[],
): { readonly color: Color; readonly layer: number }[] {
  if (layers.length < 2) return [];
  const keys = layers.map(({ color }) => color && keyOf(color));
  const whole = iconPicture(layers, VISIBLE_AT);
  return layers.flatMap(({ color }, layer) => {
    const isAlone = keys.filter((key) => key === keys[layer]).length === 1;
    if (!color || !isAlone) return [];
    return rmse(whole, iconPicture(layers.toSpliced(layer, 1), VISIBLE_AT)) > VISIBLE
      ? [{ color, layer }]
      : [];
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
/** Minimum distance between the old and the new colour. */
const MIN_DISTANCE = 0.4;

/** Samples an edit. Returns the pair of any icon of the editable. */
export function editorOf(edit: Edit, { color }: Editable, random: Random, size: number) {
  const paint = random.pick(
    paints.filter((paint) => Math.hypot(...paint.map((v, c) => v - color[c]!)) > MIN_DISTANCE),
  );
  return ({ icon, layer }: Editable["icons"][number]): { readonly input: Image; readonly output: Image } => {
    const layers = icon.layers();
    const changed = edit === "remove" ? [] : [recoloured(layers[layer]!, paint)];
    return {
      input: iconPicture(layers, size),
      output: iconPicture(layers.toSpliced(layer, 1, ...changed), size),
    };
  };
}

export function drawEdit(edit: Edit, editable: Editable, random: Random, size: number): IconTask {
  const pair = editorOf(edit, editable, random, size);
  const [shown, asked] = random.pair(editable.icons);
  return { what: `${asked.icon.name}: ${edit}`, example: pair(shown), ...pair(asked) };
}
