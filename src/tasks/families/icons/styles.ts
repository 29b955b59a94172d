/**
 * @file The same object in another style: one task for each ordered pair of sets that share names. Every family of sets is
 * equally frequent, whether it has two styles or six.
 */
import type { Random } from "../../../random.ts";
import type { IconSet } from "../../gathered/index.ts";
import { type Change, family, type TaskFamily } from "../../task.ts";
import { colorNames, colors } from "../../world/scene.ts";
import { drawPlace, iconSprite, isInk, namesOf } from "../../worlds/icons.ts";
import { silhouette } from "../../worlds/sprite.ts";
import type { IconSource } from "./source.ts";

/** Pairs of sets that are held out of style training. */
const heldOutStyles: readonly (readonly [string, string])[] = [
  ["icons-noto", "icons-fluent"],
  ["icons-twemoji", "icons-openmoji-black"],
];

/** Whether the change of style between two sets, in either direction, is held out of training. */
export const isHeldOutStyle = ({ name: a }: IconSet, { name: b }: IconSet): boolean =>
  heldOutStyles.some(([x, y]) => (a === x && b === y) || (a === y && b === x));

/** The least number of shared icons for two sets to be a pair of styles. */
const fewestShared = 4;

interface Styles {
  readonly from: IconSet;
  readonly to: IconSet;
  readonly names: readonly string[];
}

/** Ordered pairs of sets, with their shared names: one list for each family of sets. */
function stylesOf(sets: readonly IconSet[], unseen: boolean): readonly (readonly Styles[])[] {
  const families = new Map<string, Styles[]>();
  for (const from of sets)
    for (const to of sets) {
      if (from === to || from.family !== to.family || isHeldOutStyle(from, to) !== unseen) continue;
      const names = namesOf(from).filter((name) => to.icons.has(name));
      if (names.length < fewestShared) continue;
      families.set(from.family, [...(families.get(from.family) ?? []), { from, to, names }]);
    }
  return [...families.values()];
}

export function iconStyleFamilies(source: IconSource): readonly TaskFamily[] {
  const drawStyle =
    (styles: () => ReturnType<typeof stylesOf>) =>
    (random: Random): Change => {
      const { from, to, names } = random.pick(random.pick(styles()));
      return {
        parameters: { from: from.name, to: to.name },
        images(pairRandom, size) {
          return source.pair(pairRandom, size, () => {
            const name = pairRandom.pick(names);
            let [before, after] = [iconSprite(from.icons.get(name)!), iconSprite(to.icons.get(name)!)];
            const ink = colors[pairRandom.pick(colorNames)];
            if (pairRandom.chance(0.4) && isInk(before) && isInk(after))
              [before, after] = [silhouette(before, ink), silhouette(after, ink)];
            const place = drawPlace(pairRandom);
            return { before: [{ sprite: before, place }], after: [{ sprite: after, place }] };
          });
        },
        words: {
          instructions: [`draw it as ${to.style}`, `turn the ${from.style} into ${to.style}`],
          differences: [`the output image shows it as ${to.style} instead of ${from.style}`],
        },
      };
    };

  const styleFamily = (name: string, unseen: boolean): TaskFamily => {
    let kept: ReturnType<typeof stylesOf> | undefined;
    const styles = () => {
      kept ??= stylesOf(source.sets, unseen);
      return kept;
    };
    return { ...family(name, "editing", drawStyle(styles)), isPossible: () => styles().length > 0 };
  };
  return [styleFamily("iconStyle", false), styleFamily("iconStyleUnseen", true)];
}
