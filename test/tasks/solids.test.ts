import { describe, expect, test } from "vitest";
import { Random } from "../../src/random.ts";
import { shapes } from "../../src/tasks/world/scene.ts";
import { solids } from "../../src/tasks/world/solids.ts";
import { vector } from "../../src/tasks/world/vector.ts";

/** Whether a point is in the unit solid, defined independently of the ray intersection. */
const inside = {
  sphere: (x: number, y: number, z: number) => Math.hypot(x, y - 1, z) <= 1,
  cube: (x: number, y: number, z: number) => Math.max(Math.abs(x), Math.abs(y - 0.82), Math.abs(z)) <= 0.82,
  cylinder: (x: number, y: number, z: number) => Math.hypot(x, z) <= 0.78 && y >= 0 && y <= 1.75,
  cone: (x: number, y: number, z: number) => y >= 0 && Math.hypot(x, z) <= (2.15 - y) / 2.15,
  capsule: (x: number, y: number, z: number) => Math.hypot(x, y - Math.min(Math.max(y, 0.6), 1.7), z) <= 0.6,
  pyramid: (x: number, y: number, z: number) =>
    y >= 0 && Math.max(Math.abs(x), Math.abs(z)) <= 0.95 * (1 - y / 1.85),
};

type Point = [number, number, number];

/**
 * Rays from far away to points near the solid, and the place where small steps along the ray first reach the inside.
 */
function* rays(random: Random) {
  for (let i = 0; i < 150; i++) {
    const angle = random.uniform(0, 2 * Math.PI);
    const from: Point = [5 * Math.cos(angle), random.uniform(0.2, 8), 5 * Math.sin(angle)];
    const to: Point = [random.uniform(-1, 1), random.uniform(0, 2.2), random.uniform(-1, 1)];
    yield { from, direction: to.map((value, c) => value - from[c]!) as Point };
  }
}

describe.each(shapes)("%s", (shape) => {
  const solid = solids[shape];
  const at = (from: Point, direction: Point, t: number) =>
    from.map((value, c) => value + t * direction[c]!) as Point;

  test("is met where a march along the ray first comes inside", () => {
    let hits = 0;
    for (const { from, direction } of rays(Random.of("solid", shape))) {
      let marched = Infinity;
      for (let t = 0; t < 1.6 && marched === Infinity; t += 1e-3)
        if (inside[shape](...at(from, direction, t))) marched = t;
      const [ox, oy, oz] = from;
      const [dx, dy, dz] = direction;
      const t = solid.distance(ox, oy, oz, dx, dy, dz);
      if (marched < Infinity) {
        hits++;
        expect(t).toBeLessThanOrEqual(marched + 1e-9);
        expect(t).toBeGreaterThan(marched - 1.001e-3);
      } else if (t < Infinity) {
        // The ray crosses the solid for less than one step.
        expect(inside[shape](...at(from, direction, t + 1e-3))).toBe(false);
      }
    }
    expect(hits).toBeGreaterThan(40);
  });

  test("has outward unit normals and fits its bounds", () => {
    const normal = vector();
    for (const { from, direction } of rays(Random.of("normal", shape))) {
      const [ox, oy, oz] = from;
      const [dx, dy, dz] = direction;
      const t = solid.distance(ox, oy, oz, dx, dy, dz);
      if (t === Infinity) continue;
      const [x, y, z] = at(from, direction, t);
      solid.normal(x, y, z, normal);
      expect(Math.hypot(...normal)).toBeCloseTo(1, 9);
      expect(normal[0] * dx + normal[1] * dy + normal[2] * dz).toBeLessThan(1e-6);
      expect(inside[shape](x + 1e-4 * normal[0], y + 1e-4 * normal[1], z + 1e-4 * normal[2])).toBe(false);
      expect(Math.hypot(x, y - solid.height / 2, z)).toBeLessThan(solid.reach + 1e-6);
    }
  });
});
