/**
 * @file Tasks: an image-to-image change with random parameters, so that only an example pair shows what to do. A family
 * declares how to sample a `Change`. This file turns changes into tasks, words them, and reverses them (paper: task
 * augmentation, A→B also trains B→A).
 */
import type { Image } from "../image/image.ts";
import type { Random } from "../random.ts";
import type { Scene } from "./world/scene.ts";
import { type World, type WorldName, worldNames } from "./worlds/world.ts";

/** The paper's prototype tasks. Tone and geometry are separate from low-level, because they are learned separately. */
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
  /** The contents of the pictures, if the change is an edit of a scene: ground truth for evaluation. */
  readonly scenes?: SceneEdit;
}

export interface SceneEdit {
  readonly before: Scene;
  readonly after: Scene;
}

/** A task with fixed parameters: all its pairs show the same change. */
export interface Task {
  readonly family: string;
  /** The sampled parameters, for reports. */
  readonly parameters: Readonly<Record<string, number | string>>;
  /**
   * Samples a new picture and renders input and output, `size` × `size` pixels.
   * @param world source of the picture, one of the family's worlds; defaults to scenes
   */
  pair(random: Random, size: number, world?: World): Pair;
}

export interface TaskFamily {
  readonly name: string;
  readonly prototype: Prototype;
  /** The family whose pairs this one swaps. */
  readonly reverseOf?: string;
  /** Worlds whose pictures the family can change. */
  readonly worlds: readonly WorldName[];
  /** Whether there are enough gathered pictures for it; always, if undefined. */
  isPossible?(): boolean;
  /** Samples the parameters. */
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

/** A change without name and direction. */
export interface Change {
  readonly parameters: Task["parameters"];
  readonly words: Words;
  images(random: Random, size: number, world?: World): Images;
}

/** A change that can also be reversed. */
export interface ReversibleChange extends Change {
  readonly reverseWords: Words;
}

/** A family of the changes that `drawChange` samples. */
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

/** Families that need only a picture, declared for every world. */
export const ofAnyPicture = (families: readonly TaskFamily[]): readonly TaskFamily[] =>
  families.map((each) => ({ ...each, worlds: worldNames }));

/** Families that make their own pictures, declared for one world. */
export const ofWorld = (world: WorldName, families: readonly TaskFamily[]): readonly TaskFamily[] =>
  families.map((each) => ({ ...each, worlds: [world] }));

/** A family and its reverse: same random stream, same pictures, swapped. */
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
