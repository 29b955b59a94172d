/** @file Edits of the surroundings: season, time of day, place, light. */
import type { Random } from "../../random.ts";
import { type Change, family, type TaskFamily } from "../task.ts";
import { floors, isOutdoors, places, seasons, times } from "../world/scene.ts";
import { edited } from "./source.ts";

function drawSeason(random: Random): Change {
  const [from, to] = random.pair(seasons);
  return {
    parameters: { from, to },
    images: edited(
      () => ({ places: ["meadow"], seasons: [from] }),
      (scene) => ({ ...scene, season: to }),
    ),
    words: {
      instructions: [`turn ${from} into ${to}`, `make it ${to}`],
      differences: [`it is ${to} in the output image and ${from} in the input image`],
    },
  };
}

function drawTimeOfDay(random: Random): Change {
  const [from, to] = random.pair(times);
  return {
    parameters: { from, to },
    images: edited(
      () => ({ places: places.filter(isOutdoors), times: [from] }),
      (scene) => ({ ...scene, time: to }),
    ),
    words: {
      instructions: [`turn ${from} into ${to}`, `make it ${to}`],
      differences: [`it is ${to} in the output image and ${from} in the input image`],
    },
  };
}

function drawPlaceChange(random: Random): Change {
  const [from, to] = random.pair(places);
  const hue = random.uniform();
  const floor = random.pick(floors);
  const name = (place: string) => (place === "studio" ? "a plain background" : `a ${place}`);
  return {
    parameters: { from, to, hue, floor },
    images: edited(
      () => ({ places: [from], seasons: ["summer"], times: ["day"] }),
      (scene) => ({ ...scene, place: to, surroundings: { ...scene.surroundings, hue, floor } }),
    ),
    words: {
      instructions: [`change the background to ${name(to)}`, `move the scene to ${name(to)}`],
      differences: [`the objects are before ${name(to)} instead of ${name(from)}`],
    },
  };
}

function drawRelight(random: Random): Change {
  const azimuth = random.uniform(0.9, 1.3);
  const side = random.pick(["left", "right"]);
  const to = side === "left" ? -azimuth : azimuth;
  return {
    parameters: { side, azimuth },
    images: edited(
      () => ({ places: ["desert", "beach", "room", "studio"], times: ["day"] }),
      (scene) => {
        const isOther = Math.sign(scene.light.azimuth) !== Math.sign(to);
        return isOther ? { ...scene, light: { azimuth: to, elevation: 0.65 } } : undefined;
      },
    ),
    words: {
      instructions: [`let the light come from the ${side}`, `light it from the ${side}`],
      differences: [`the light comes from the ${side} in the output image`],
    },
  };
}

export const circumstanceFamilies: readonly TaskFamily[] = [
  family("season", "editing", drawSeason),
  family("timeOfDay", "editing", drawTimeOfDay),
  family("place", "editing", drawPlaceChange),
  family("relight", "editing", drawRelight),
];
