/** @file Tasks made from other families: two changes in order, and changes that words do not name. */
import type { Random } from "../../random.ts";
import type { Task, TaskFamily } from "../task.ts";
import { only, worldNames } from "../worlds/world.ts";
import { exampleWords } from "./color-maps.ts";
import { drawFitting, hasEffect, PAIR_RETRIES } from "./visible.ts";

const takesAny = ({ worlds }: TaskFamily): boolean => worlds.length === worldNames.length;

/** Whether the family of that name is made from others. */
export const isCombined = (name: string): boolean => ["twoChanges", "likeExample"].includes(name);

/** Applies one change, then another one to the result. */
function twoChanges(parts: readonly TaskFamily[]): TaskFamily | undefined {
  // Without degradations, which would hide the other change.
  const doing = parts.filter((each) => !each.reverseOf && ["tone", "geometry"].includes(each.prototype));
  if (doing.length < 2) return undefined;
  return {
    name: "twoChanges",
    prototype: "tone",
    worlds: worldNames,
    draw(random) {
      const first = random.pick(doing).draw(random);
      const second = random.pick(doing.filter(({ name }) => name !== first.family)).draw(random);
      return {
        family: "twoChanges",
        parameters: { first: first.family, second: second.family },
        pair(pairRandom, size, world) {
          const [one, two] = drawFitting(
            () => {
              const once = first.pair(pairRandom, size, world);
              return [once, second.pair(pairRandom, size, only(once.output))] as const;
            },
            ([once, twice]) => hasEffect(twice) && hasEffect({ input: once.input, output: twice.output }),
            PAIR_RETRIES,
          );
          return {
            input: one.input,
            output: two.output,
            instruction: `${one.instruction} then ${two.instruction}`.split(" ").slice(0, 12).join(" "),
            difference: `${one.difference} and ${two.difference}`,
          };
        },
      };
    },
  };
}

/** Any change, with the same words for all. */
function likeExample(parts: readonly TaskFamily[]): TaskFamily | undefined {
  if (parts.length === 0) return undefined;
  return {
    name: "likeExample",
    prototype: "tone",
    worlds: worldNames,
    draw(random: Random): Task {
      const task = random.pick(parts).draw(random);
      return {
        family: "likeExample",
        parameters: { change: task.family },
        pair(pairRandom, size, world) {
          const { input, output, difference } = task.pair(pairRandom, size, world);
          return { input, output, difference, instruction: pairRandom.pick(exampleWords.instructions) };
        },
      };
    },
  };
}

/** Both families, built on those of `parts` that take any picture, as far as there are enough of these. */
export function combinedFamilies(parts: readonly TaskFamily[]): readonly TaskFamily[] {
  const usable = parts.filter((each) => takesAny(each) && !isCombined(each.name));
  return [twoChanges(usable), likeExample(usable)].filter((each) => each !== undefined);
}
