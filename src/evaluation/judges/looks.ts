/** @file Templates in colour: what an object of some shape, place, light and colour shows in each of its pixels. */
import { type Color, colorNames, colors } from "../../tasks/world/scene.ts";
import type { Template } from "./templates.ts";

/** sRGB of each of the template's pixels, `[3]` each. */
export interface Look {
  readonly template: Template;
  readonly color: Color;
  readonly light: number;
  readonly first: Float32Array;
  /** In the second colour of the material, if it has one. */
  readonly second: Float32Array;
}

const linear = Object.fromEntries(
  colorNames.map((name) => [name, colors[name].map((value) => value * value)]),
) as Record<Color, number[]>;

/** A material's second colour, as src/tasks/world/body.ts mixes it; linear as well. */
const secondLinear = Object.fromEntries(
  colorNames.map((name) => {
    const [r, g] = linear[name] as [number, number];
    const bright = g + 0.4 * r > 0.55;
    return [name, linear[name].map((value) => (bright ? value * 0.4 : value + (0.85 - value) * 0.55))];
  }),
) as Record<Color, number[]>;

const known = new WeakMap<Template, Map<Color, Look>>();

/** The template in a colour, under the light of most scenes: made once. */
export function lookOf(template: Template, color: Color): Look {
  const looks = known.get(template) ?? new Map<Color, Look>();
  known.set(template, looks);
  const look = looks.get(color) ?? makeLook(template, color, 0);
  looks.set(color, look);
  return look;
}

export function makeLook(template: Template, color: Color, light: number): Look {
  const shade = template.shading(light);
  const lit = (albedo: readonly number[]) =>
    Float32Array.from({ length: template.dx.length * 3 }, (_, i) => {
      const [pixel, c] = [Math.floor(i / 3), i % 3];
      const radiance = albedo[c]! * shade[pixel * 4 + c]! + shade[pixel * 4 + 3]!;
      return Math.sqrt(Math.min(Math.max(radiance, 0), 1));
    });
  return { template, color, light, first: lit(linear[color]), second: lit(secondLinear[color]) };
}
