/** @file Words for scenes: objects, counts, colours, and relative positions. */
import type { Random } from "../../random.ts";
import { isOutdoors, type Scene, type SceneObject } from "./scene.ts";

/** Words for counts, from 0 on. */
export const numbers = ["no", "one", "two", "three", "four", "five"];

/** "a cube", "an orange cube". */
export const withArticle = (phrase: string): string => `${/^[aeiou]/.test(phrase) ? "an" : "a"} ${phrase}`;

/** The plural of a noun phrase that ends in a shape. */
export const plural = (phrase: string): string => `${phrase}s`;

/** Where the objects of a studio are. */
export const studioSetting = "before a plain background";

/** "large shiny red sphere": always the colour; size and material on request; "matte" is omitted. */
export function nounPhrase(object: SceneObject, detail: "color" | "size" | "full" = "color"): string {
  const words = [
    detail === "color" ? "" : object.size,
    detail === "full" && object.material !== "matte" ? object.material : "",
    object.color,
    object.shape,
  ];
  return words.filter(Boolean).join(" ");
}

/** "on a meadow in summer at night": place and time. */
function settingPhrase(scene: Scene): string {
  const where = {
    meadow: scene.season === "winter" ? "on a snowy meadow" : `on a meadow in ${scene.season}`,
    desert: "in the desert",
    beach: "on the beach",
    room: "in a room",
    studio: studioSetting,
  }[scene.place];
  if (!isOutdoors(scene.place) || scene.time === "day") return where;
  return `${where} at ${scene.time}`;
}

/** The position of `a` relative to `b`, as seen from the camera. */
export function relation(a: SceneObject, b: SceneObject): string {
  const sideways = (a.x / a.z - b.x / b.z) * Math.min(a.z, b.z);
  if (Math.abs(sideways) >= Math.abs(a.z - b.z) * 0.7)
    return sideways < 0 ? "to the left of" : "to the right of";
  return a.z < b.z ? "in front of" : "behind";
}

/** Joins phrases as in "x, y and z". */
const list = (phrases: readonly string[]): string =>
  phrases.length < 2 ? phrases.join("") : `${phrases.slice(0, -1).join(", ")} and ${phrases.at(-1)}`;

/** Groups equal phrases and counts them: "two red spheres and a blue cone". */
function counted(objects: readonly SceneObject[]): string {
  const groups = new Map<string, number>();
  for (const object of objects) groups.set(nounPhrase(object), (groups.get(nounPhrase(object)) ?? 0) + 1);
  const phrases = [...groups].map(([phrase, count]) =>
    count === 1 ? withArticle(phrase) : `${numbers[count]} ${plural(phrase)}`,
  );
  return list(phrases);
}

/** All objects, two of them relative to each other: "a cone, and a cube to the left of a sphere". */
function placed(objects: readonly SceneObject[], detail: "color" | "size" | "full"): string {
  const phrases = objects.map((object) => withArticle(nounPhrase(object, detail)));
  if (objects.length === 1) return phrases[0]!;
  const related = `${phrases[0]} ${relation(objects[0]!, objects[1]!)} ${phrases[1]}`;
  return objects.length === 2 ? related : `${list(phrases.slice(2))}, and ${related}`;
}

/** A caption of at most 40 words, lower case ASCII; `random` varies wording and detail. */
export function caption(scene: Scene, random: Random): string {
  const setting = settingPhrase(scene);
  if (scene.objects.length === 0) return `an empty scene ${setting}`;
  const objects = random.shuffle(scene.objects);
  const count = objects.length;
  const things = count === 1 ? "one object" : `${numbers[count]} objects`;
  const wordings = [
    `${counted(objects)} ${setting}`,
    `${placed(objects, "color")} ${setting}`,
    `${placed(objects, "size")} ${setting}`,
    `${placed(objects, count > 3 ? "size" : "full")}, ${setting}`,
    `${things} ${setting}: ${counted(objects)}`,
    counted(objects),
  ];
  return random.pick(wordings);
}
