/**
 * @file Solids of unit size that stand on y = 0 around the y axis, with exact ray intersection. An object scales, turns
 * and moves its solid by transforming the ray instead.
 */
import { clamp } from "../../numbers.ts";
import type { Shape } from "./scene.ts";

export interface Solid {
  readonly height: number;
  /** Half its mean width, over all sides. */
  readonly radius: number;
  /** Radius of a ball around (0, height / 2, 0) that contains the solid. */
  readonly reach: number;
  /** Smallest positive t where o + t·d meets the surface, or Infinity. d need not have unit length. */
  distance(ox: number, oy: number, oz: number, dx: number, dy: number, dz: number): number;
  /** Writes the unit outward normal at a point of the surface. */
  normal(x: number, y: number, z: number, out: Float64Array): void;
}

const nearest = 1e-6;

/** Smaller root of a t² + 2 b t + c, or Infinity. */
function firstRoot(a: number, b: number, c: number): number {
  const discriminant = b * b - a * c;
  return discriminant < 0 || a === 0 ? Infinity : (-b - Math.sqrt(discriminant)) / a;
}

function write(out: Float64Array, x: number, y: number, z: number): void {
  const scale = 1 / Math.hypot(x, y, z);
  out[0] = x * scale;
  out[1] = y * scale;
  out[2] = z * scale;
}

/** Distance to the ball of `radius` around (0, height, 0). */
function ballDistance(
  height: number,
  radius: number,
  ox: number,
  oy: number,
  oz: number,
  dx: number,
  dy: number,
  dz: number,
): number {
  const y = oy - height;
  const a = dx * dx + dy * dy + dz * dz;
  const t = firstRoot(a, ox * dx + y * dy + oz * dz, ox * ox + y * y + oz * oz - radius * radius);
  return t > nearest ? t : Infinity;
}

const sphere: Solid = {
  height: 2,
  radius: 1,
  reach: 1,
  distance: (ox, oy, oz, dx, dy, dz) => ballDistance(1, 1, ox, oy, oz, dx, dy, dz),
  normal: (x, y, z, out) => write(out, x, y - 1, z),
};

/** A convex body with a square base: the intersection of half-spaces n·p ≤ offset, as rows nx, ny, nz, offset. */
function polyhedron(
  half: number,
  height: number,
  reach: number,
  rows: readonly (readonly [number, number, number, number])[],
): Solid {
  const planes = Float64Array.from(rows.flat());
  return {
    height,
    radius: 1.2 * half,
    reach,
    distance(ox, oy, oz, dx, dy, dz) {
      let enter = nearest;
      let leave = Infinity;
      for (let i = 0; i < planes.length; i += 4) {
        const speed = planes[i]! * dx + planes[i + 1]! * dy + planes[i + 2]! * dz;
        const gap = planes[i + 3]! - (planes[i]! * ox + planes[i + 1]! * oy + planes[i + 2]! * oz);
        if (speed < 0) enter = Math.max(enter, gap / speed);
        else if (speed > 0) leave = Math.min(leave, gap / speed);
        else if (gap < 0) return Infinity;
      }
      return enter <= leave && enter > nearest ? enter : Infinity;
    },
    normal(x, y, z, out) {
      let best = 0;
      let closest = -Infinity;
      for (let i = 0; i < planes.length; i += 4) {
        const outside = planes[i]! * x + planes[i + 1]! * y + planes[i + 2]! * z - planes[i + 3]!;
        if (outside > closest) {
          closest = outside;
          best = i;
        }
      }
      write(out, planes[best]!, planes[best + 1]!, planes[best + 2]!);
    },
  };
}

function box(half: number): Solid {
  return polyhedron(half, 2 * half, half * Math.sqrt(3), [
    [1, 0, 0, half],
    [-1, 0, 0, half],
    [0, 0, 1, half],
    [0, 0, -1, half],
    [0, 1, 0, 2 * half],
    [0, -1, 0, 0],
  ]);
}

function pyramid(half: number, height: number): Solid {
  const slant = Math.hypot(half, height);
  const [out, up, offset] = [height / slant, half / slant, (half * height) / slant];
  return polyhedron(half, height, Math.hypot(half * Math.SQRT2, height / 2), [
    [out, up, 0, offset],
    [-out, up, 0, offset],
    [0, up, out, offset],
    [0, up, -out, offset],
    [0, -1, 0, 0],
  ]);
}

function cylinder(radius: number, height: number): Solid {
  return {
    height,
    radius,
    reach: Math.hypot(radius, height / 2),
    distance(ox, oy, oz, dx, dy, dz) {
      const a = dx * dx + dz * dz;
      const b = ox * dx + oz * dz;
      const discriminant = b * b - a * (ox * ox + oz * oz - radius * radius);
      if (discriminant < 0) return Infinity;
      const root = Math.sqrt(discriminant);
      const [low, high] = [-oy / dy, (height - oy) / dy];
      const enter = Math.max((-b - root) / a, Math.min(low, high));
      const leave = Math.min((-b + root) / a, Math.max(low, high));
      return enter <= leave && enter > nearest ? enter : Infinity;
    },
    normal(x, y, z, out) {
      if (y > height - nearest) write(out, 0, 1, 0);
      else if (y < nearest) write(out, 0, -1, 0);
      else write(out, x, 0, z);
    },
  };
}

function cone(radius: number, height: number): Solid {
  const slope = (radius / height) ** 2; // x² + z² = slope (height − y)²
  return {
    height,
    radius,
    reach: Math.hypot(radius, height / 2),
    distance(ox, oy, oz, dx, dy, dz) {
      const y = oy - height;
      const a = dx * dx + dz * dz - slope * dy * dy;
      const b = ox * dx + oz * dz - slope * y * dy;
      const discriminant = b * b - a * (ox * ox + oz * oz - slope * y * y);
      if (discriminant < 0 || a === 0) return Infinity;
      const root = Math.sqrt(discriminant);
      let best = Infinity;
      const base = -oy / dy;
      if (base > nearest && (ox + base * dx) ** 2 + (oz + base * dz) ** 2 <= radius * radius) best = base;
      for (let sign = -1; sign <= 1; sign += 2) {
        const side = (-b + sign * root) / a;
        const at = oy + side * dy;
        if (side > nearest && side < best && at >= 0 && at <= height) best = side;
      }
      return best;
    },
    normal(x, y, z, out) {
      if (y < nearest) write(out, 0, -1, 0);
      else write(out, x, slope * (height - y) + nearest, z);
    },
  };
}

function capsule(radius: number, height: number): Solid {
  const top = height - radius;
  return {
    height,
    radius,
    reach: height / 2,
    distance(ox, oy, oz, dx, dy, dz) {
      const side = firstRoot(dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - radius * radius);
      const at = oy + side * dy;
      if (side > nearest && at >= radius && at <= top) return side;
      return Math.min(
        ballDistance(radius, radius, ox, oy, oz, dx, dy, dz),
        ballDistance(top, radius, ox, oy, oz, dx, dy, dz),
      );
    },
    normal: (x, y, z, out) => write(out, x, y - clamp(y, radius, top), z),
  };
}

export const solids: Readonly<Record<Shape, Solid>> = {
  sphere,
  cube: box(0.82),
  cylinder: cylinder(0.78, 1.75),
  cone: cone(1, 2.15),
  capsule: capsule(0.6, 2.3),
  pyramid: pyramid(0.95, 1.85),
};
