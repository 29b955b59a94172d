/**
 * @file From one look to another: the input has one change, the output another change of the same scene. The task is to
 * undo the first and apply the second; there are as many tasks as pairs of changes. Only the two pictures of an example
 * show what to do.
 */
import { Random } from "../../random.ts";
import type { TaskFamily } from "../task.ts";
import { worldNames } from "../worlds/world.ts";
import { lowLevelFamilies } from "./low-level.ts";
import { toneFamilies } from "./tone.ts";
import { weatherFamilies } from "./weather.ts";

// Without rain and low light, because the paper holds out their removal.
const all = [...weatherFamilies, ...lowLevelFamilies, ...toneFamilies];
const named = (...names: readonly string[]) => all.filter(({ name }) => names.includes(name));

/** Families that undo a change, with short words. */
const undoing = [
  ...named("desnow", "dehaze", "denoise", "deblur", "motionDeblur", "dejpeg", "superResolution"),
  ...named("devignette", "exposure"),
];

const doing = [
  ...named("snow", "haze", "noise", "blur", "vignette"),
  ...named("invert", "grayscale", "duotone", "tint", "hueRotation", "channelPermutation"),
  ...named("brightness", "contrast", "gamma", "saturation", "posterize", "solarize"),
];

const otherLook: TaskFamily = {
  name: "otherLook",
  prototype: "low-level",
  worlds: worldNames,
  draw(random) {
    const undoer = random.pick(undoing);
    const undo = undoer.draw(random);
    const change = random.pick(doing.filter(({ name }) => name !== undoer.reverseOf)).draw(random);
    return {
      family: "otherLook",
      parameters: { undo: undo.family, do: change.family },
      pair(pairRandom, size, world) {
        // The same stream for both, so that they start with the same picture.
        const seed = pairRandom.integer(0, 2 ** 31 - 1);
        const undone = undo.pair(Random.of(seed), size, world);
        const done = change.pair(Random.of(seed), size, world);
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

export const lookFamilies: readonly TaskFamily[] = [otherLook];
