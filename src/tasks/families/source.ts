/** @file The pictures that tasks start from. */
import type { Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import type { Change } from "../task.ts";
import { drawEdit, drawScene, type SceneOptions } from "../world/draw.ts";
import { type Render, renderScene } from "../world/render.ts";
import type { Scene } from "../world/scene.ts";

/** A picture of a random scene, with what is known about it. */
export interface Shot extends Render {
  readonly scene: Scene;
  readonly size: number;
}

function shoot(random: Random, size: number, options?: SceneOptions): Shot {
  const scene = drawScene(random, options);
  return { scene, size, ...renderScene(scene, size) };
}

/** Pairs of a random scene's picture and what `apply` makes of it. */
export function from(apply: (shot: Shot, random: Random) => Image, options?: SceneOptions): Change["images"] {
  return (random, size) => {
    const shot = shoot(random, size, options);
    return { input: shot.image, output: apply(shot, random) };
  };
}

/** What a task of any world starts from. */
export interface Picture {
  readonly image: Image;
  readonly size: number;
  /** As in `Render`; only of scenes. */
  readonly depth?: Float32Array;
}

/**
 * Pairs of a picture of any world and what `apply` makes of it.
 * @param options what a scene has to be like, where the world is that of scenes
 */
export function fromPicture(
  apply: (picture: Picture, random: Random) => Image,
  options?: SceneOptions,
): Change["images"] {
  return (random, size, world) => {
    const shown: Picture = world
      ? { image: world.picture(random, size).picture, size }
      : shoot(random, size, options);
    return { input: shown.image, output: apply(shown, random) };
  };
}

/** Pairs of a scene that `options` ask for, drawn anew each time, and its edited self. */
export const edited =
  (options: (random: Random) => SceneOptions, edit: (scene: Scene) => Scene | undefined): Change["images"] =>
  (random, size) => {
    const scenes = drawEdit(random, options, edit);
    return {
      input: renderScene(scenes.before, size).image,
      output: renderScene(scenes.after, size).image,
      scenes,
    };
  };
