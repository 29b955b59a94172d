/** @file Coloured templates: the appearance of an object with some shape, position, light and colour. */
import { clamp } from "../../numbers.ts";
import { type Color, colorNames, colors } from "../../tasks/world/scene.ts";
import type { Template } from "./templates.ts";

/** sRGB of every pixel of a template, `[pixels, 3]`. */
export interface Look {
  readonly template: Template;
  readonly color: Color;
  readonly light: number;
  readonly first: Float32Array;
  /** The same in the second colour of patterned materials. */
  readonly second: Float32Array;
}

const linear = Object.fromEntries(
  colorNames.map((name) => [name, colors[name].map((value) => value * value)]),
) as Record<Color, number[]>;

/** A material's second colour, as mixed in src/tasks/world/body.ts, in linear RGB. */
const secondLinear = Object.fromEntries(
  colorNames.map((name) => {
    const [r, g] = linear[name] as [number, number];
    const bright = g + 0.4 * r > 0.55;
    return [name, linear[name].map((value) => (bright ? value * 0.4 : value + (0.85 - value) * 0.55))];
  }),
) as Record<Color, number[]>;

const known = new WeakMap<Template, Map<Color, Look>>();

/** The template in a colour, under the light of most scenes. Cached. */
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
      return Math.sqrt(clamp(radiance));
    });
  return { template, color, light, first: lit(linear[color]), second: lit(secondLinear[color]) };
}
