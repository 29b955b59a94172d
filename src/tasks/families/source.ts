/** @file The source pictures of tasks. */
import type { Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";
import type { Change } from "../task.ts";
import { drawEdit, drawScene, type SceneOptions } from "../world/draw.ts";
import { type Render, renderScene } from "../world/render.ts";
import type { Scene } from "../world/scene.ts";
import { drawFitting, hasEffect } from "./visible.ts";

/** A rendered random scene, with its ground truth. */
export interface Shot extends Render {
  readonly scene: Scene;
  readonly size: number;
}

function shoot(random: Random, size: number, options?: SceneOptions): Shot {
  const scene = drawScene(random, options);
  return { scene, size, ...renderScene(scene, size) };
}

/** Pairs of a random scene's picture and the result of `apply`. */
export function from(apply: (shot: Shot, random: Random) => Image, options?: SceneOptions): Change["images"] {
  return (random, size) => {
    const shot = shoot(random, size, options);
    return { input: shot.image, output: apply(shot, random) };
  };
}

/** A source picture from any world. */
export interface Picture {
  readonly image: Image;
  readonly size: number;
  /** As in `Render`; only of scenes. */
  readonly depth?: Float32Array;
}

/** Further icons or photographs that are drawn for a change that has no effect on the first. */
const PICTURE_RETRIES = 8;

/**
 * Pairs of a picture from any world and the result of `apply`. Another icon or photograph is drawn where the change has no
 * effect.
 * @param options constraints on the scene, in the world of scenes
 */
export function fromPicture(
  apply: (picture: Picture, random: Random) => Image,
  options?: SceneOptions,
): Change["images"] {
  return (random, size, world) => {
    const changed = (shown: Picture) => ({ input: shown.image, output: apply(shown, random) });
    if (!world) return changed(shoot(random, size, options));
    const draw = () => changed({ image: world.picture(random, size).picture, size });
    return drawFitting(draw, hasEffect, PICTURE_RETRIES);
  };
}

/** Pairs of a random scene that meets `options`, and its edited version. */
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
