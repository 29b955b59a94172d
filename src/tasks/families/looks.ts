/**
 * @file From one look to another: the input has one change, the output another change of the same scene. The task is to
 * undo the first and apply the second; there are as many tasks as pairs of changes. Only the two pictures of an example
 * show what to do.
 */
import { Random } from "../../random.ts";
import type { TaskFamily } from "../task.ts";
import { only, worldNames } from "../worlds/world.ts";
import { drawFitting, hasEffect, PAIR_RETRIES } from "./visible.ts";

/** Families that undo a change, with short words. Without rain and low light, because the paper holds out their removal. */
const undoing = [
  ...["desnow", "dehaze", "denoise", "deblur", "motionDeblur", "dejpeg", "superResolution"],
  ...["devignette", "exposure"],
];

const doing = [
  ...["snow", "haze", "noise", "blur", "vignette"],
  ...["invert", "grayscale", "duotone", "tint", "hueRotation", "channelPermutation"],
  ...["brightness", "contrast", "gamma", "saturation", "posterize", "solarize"],
];

/** The family of those of `parts` that it can be made of; undefined if these are too few. */
export function otherLook(parts: readonly TaskFamily[]): TaskFamily | undefined {
  const undoers = parts.filter(({ name }) => undoing.includes(name));
  const doers = parts.filter(({ name }) => doing.includes(name));
  if (undoers.length === 0 || doers.length < 2) return undefined;
  return {
    name: "otherLook",
    prototype: "low-level",
    worlds: worldNames,
    draw(random) {
      const undoer = random.pick(undoers);
      const undo = undoer.draw(random);
      const change = random.pick(doers.filter(({ name }) => name !== undoer.reverseOf)).draw(random);
      return {
        family: "otherLook",
        parameters: { undo: undo.family, do: change.family },
        pair(pairRandom, size, world) {
          const draw = () => {
            // The same stream for both, so that they start with the same scene.
            const seed = pairRandom.integer(0, 2 ** 31 - 1);
            const shown = world && only(world.picture(pairRandom, size).picture);
            const undone = undo.pair(Random.of(seed), size, shown);
            return { undone, done: change.pair(Random.of(seed), size, shown) };
          };
          const { undone, done } = drawFitting(
            draw,
            (both) => hasEffect(both.undone) && hasEffect(both.done),
            PAIR_RETRIES,
          );
          return {
            input: undone.input,
            output: done.output,
            instruction: `${undone.instruction} and ${done.instruction}`,
            difference: `${undone.difference} and ${done.difference}`,
          };
        },
      };
    },
  };
}
