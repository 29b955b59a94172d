/**
 * @file What a task is: an image-to-image change whose parameters are drawn anew for every instance, so that only an
 * example pair tells what to do. A family declares how to draw a `Change`; turning changes into tasks, wording them
 * and reversing them (paper: task augmentation, A→B also trains B→A) happens here, once for all.
 */
import type { Image } from "../image/image.ts";
import type { Random } from "../random.ts";
import type { Scene } from "./world/scene.ts";
import { type World, type WorldName, worldNames } from "./worlds/world.ts";

/** The paper's prototype tasks, with tone and geometry split from low-level, for they are learned apart. */
export const prototypes = [
  "low-level",
  "tone",
  "geometry",
  "perception",
  "editing",
  "controlled",
  "text-to-image",
] as const;
export type Prototype = (typeof prototypes)[number];

/** One example of a task. Texts are lower case ASCII. */
export interface Pair {
  readonly input: Image;
  readonly output: Image;
  /** What to do, at most 12 words. */
  readonly instruction: string;
  /** How the output image differs from the input image, at most 40 words. */
  readonly difference: string;
  /** What the pictures show, where the change is an edit of the scene: the ground truth for judging it. */
  readonly scenes?: SceneEdit;
}

export interface SceneEdit {
  readonly before: Scene;
  readonly after: Scene;
}

/** One task with its parameters fixed: every pair it makes shows the same change. */
export interface Task {
  readonly family: string;
  /** What was drawn, for reports. */
  readonly parameters: Readonly<Record<string, number | string>>;
  /**
   * Draws a new picture and renders input and output, `size` × `size` pixels.
   * @param world where the picture comes from, one of the family's worlds; a scene when left out
   */
  pair(random: Random, size: number, world?: World): Pair;
}

export interface TaskFamily {
  readonly name: string;
  readonly prototype: Prototype;
  /** The family whose pairs this one swaps. */
  readonly reverseOf?: string;
  /** Worlds whose pictures it can change. */
  readonly worlds: readonly WorldName[];
  /** Whether enough was gathered to draw it; always where it is left out. */
  isPossible?(): boolean;
  /** Draws the parameters. */
  draw(random: Random): Task;
}

/** Wordings of one direction of a change; each pair takes one of each. */
export interface Words {
  readonly instructions: readonly string[];
  readonly differences: readonly string[];
}

/** The two pictures of a pair. */
export interface Images {
  readonly input: Image;
  readonly output: Image;
  readonly scenes?: SceneEdit;
}

/** A task before it has a name and a direction. */
export interface Change {
  readonly parameters: Task["parameters"];
  readonly words: Words;
  images(random: Random, size: number, world?: World): Images;
}

/** A change that can also be asked for backwards. */
export interface ReversibleChange extends Change {
  readonly reverseWords: Words;
}

/** A family of the changes that `drawChange` draws. */
export function family(
  name: string,
  prototype: Prototype,
  drawChange: (random: Random) => Change,
): TaskFamily {
  return {
    name,
    prototype,
    worlds: ["scenes"],
    draw(random) {
      const { parameters, words, images } = drawChange(random);
      return {
        family: name,
        parameters,
        pair(pairRandom, size, world) {
          const shown = images(pairRandom, size, world);
          const instruction = pairRandom.pick(words.instructions);
          return { ...shown, instruction, difference: pairRandom.pick(words.differences) };
        },
      };
    },
  };
}

/** The families, which need nothing but a picture and so take those of any world. */
export const ofAnyPicture = (families: readonly TaskFamily[]): readonly TaskFamily[] =>
  families.map((each) => ({ ...each, worlds: worldNames }));

/** The families, which make their own pictures of what was gathered for one world. */
export const ofWorld = (world: WorldName, families: readonly TaskFamily[]): readonly TaskFamily[] =>
  families.map((each) => ({ ...each, worlds: [world] }));

/** A family and the one that undoes it: same random stream, same pictures, swapped. */
export function bothWays(
  [name, prototype]: readonly [string, Prototype],
  [reverseName, reversePrototype]: readonly [string, Prototype],
  drawChange: (random: Random) => ReversibleChange,
): readonly [TaskFamily, TaskFamily] {
  const reversed = family(reverseName, reversePrototype, (random) => {
    const change = drawChange(random);
    return {
      parameters: change.parameters,
      words: change.reverseWords,
      images(pairRandom, size, world) {
        const { input, output, scenes } = change.images(pairRandom, size, world);
        const undone = scenes && { scenes: { before: scenes.after, after: scenes.before } };
        return { input: output, output: input, ...undone };
      },
    };
  });
  return [family(name, prototype, drawChange), { ...reversed, reverseOf: name }];
}
