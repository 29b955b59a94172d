/**
 * @file From one look to another: the input carries one change, the output another one of the same scene. Undoing the one
 * and doing the other is a task of its own, and there are as many as pairs of changes. Only the two pictures of an example
 * show what to do.
 */
import { Random } from "../../random.ts";
import type { TaskFamily } from "../task.ts";
import { worldNames } from "../worlds/world.ts";
import { lowLevelFamilies } from "./low-level.ts";
import { toneFamilies } from "./tone.ts";
import { weatherFamilies } from "./weather.ts";

// Rain and low light are not among them: the paper holds out their undoing.
const all = [...weatherFamilies, ...lowLevelFamilies, ...toneFamilies];
const named = (...names: readonly string[]) => all.filter(({ name }) => names.includes(name));

/** Families that undo a change, in few words. */
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
        // The same stream for both: they draw the same picture first.
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
