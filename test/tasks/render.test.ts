import { describe, expect, test } from "vitest";
import { shrink } from "../../src/image/filters.ts";
import { Random } from "../../src/random.ts";
import { drawScene, renderScene } from "../../src/tasks/index.ts";
import { isWellPlaced } from "../../src/tasks/world/draw.ts";
import { classNames, removeObjects, type Scene, sizes } from "../../src/tasks/world/scene.ts";
import { skyDepth } from "../../src/tasks/world/surroundings.ts";
import { largestDifference, object, sceneOf } from "./kit.ts";

const size = 64;
const { height, pitch, focal } = sceneOf([]).camera;

/** A world point in camera coordinates: right, up, forward. */
const toCamera = (x: number, y: number, z: number) => ({
  right: x,
  up: (y - height) * Math.cos(pitch) + z * Math.sin(pitch),
  forward: z * Math.cos(pitch) - (y - height) * Math.sin(pitch),
});

/** Picture coordinates of a pixel's centre over the focal length. */
const slopes = (i: number) => ({
  u: (((i % size) + 0.5) / size - 0.5) / focal,
  v: (0.5 - (Math.floor(i / size) + 0.5) / size) / focal,
});

describe("renderScene", () => {
  const ball = object({ x: 0.5, z: 6.2, size: "large" });
  const render = renderScene(sceneOf([ball]), size);
  const radius = sizes.large;
  const center = toCamera(ball.x, radius, ball.z);

  test("gives the depth and normals that camera coordinates give for a sphere", () => {
    let seen = 0;
    for (let i = 0; i < size * size; i++) {
      const { u, v } = slopes(i);
      // |d (u, v, 1) − c|² = r², the nearer root.
      const a = u * u + v * v + 1;
      const b = u * center.right + v * center.up + center.forward;
      const c = center.right ** 2 + center.up ** 2 + center.forward ** 2 - radius ** 2;
      const isHit = b * b > a * c;
      expect(render.segmentation[i]).toBe(isHit ? 1 : 0);
      if (!isHit) continue;
      const depth = (b - Math.sqrt(b * b - a * c)) / a;
      seen++;
      expect(render.depth[i]).toBeCloseTo(depth, 4);
      expect(render.normals[i * 3]).toBeCloseTo((u * depth - center.right) / radius, 4);
      expect(render.normals[i * 3 + 1]).toBeCloseTo((v * depth - center.up) / radius, 4);
      expect(render.normals[i * 3 + 2]).toBeCloseTo((center.forward - depth) / radius, 4);
      expect(classNames[render.classes[i]!]).toBe("sphere");
    }
    expect(seen).toBeGreaterThan(300);
  });

  test("gives the ground's depth from the camera's height, and the sky's beyond the horizon", () => {
    for (let i = 0; i < size * size; i++) {
      if (render.segmentation[i]) continue;
      const { v } = slopes(i);
      const fall = Math.sin(pitch) - v * Math.cos(pitch);
      if (fall <= 0) expect(render.depth[i]).toBe(skyDepth);
      else if (height / fall < 25) expect(render.depth[i]).toBeCloseTo(height / fall, 3);
    }
  });

  test("puts a wall into the room, flat and behind the floor", () => {
    const room = renderScene(sceneOf([], { place: "room" }), size);
    const top = 5;
    const { v } = slopes(top);
    expect(classNames[room.classes[top]!]).toBe("backdrop");
    expect(room.depth[top]).toBeCloseTo(10.5 / (Math.cos(pitch) + v * Math.sin(pitch)), 4);
    expect(classNames[room.classes[size * size - 1]!]).toBe("ground");
  });

  test("segments exactly the pixels that change when the object is removed", () => {
    for (let n = 0; n < 12; n++) {
      const scene = drawScene(Random.of("segmentation", n), { count: 3 });
      const whole = renderScene(scene, size);
      scene.objects.forEach((gone, index) => {
        const rest = renderScene(
          removeObjects(scene, (each) => each === gone),
          size,
        );
        for (let i = 0; i < size * size; i++) {
          const isMarked = whole.segmentation[i] === index + 1;
          expect(whole.depth[i] !== rest.depth[i] || whole.classes[i] !== rest.classes[i]).toBe(isMarked);
          if (isMarked) expect(classNames[whole.classes[i]!]).toBe(gone.shape);
        }
      });
    }
  });

  test("shows the same scene at every size", () => {
    for (let n = 0; n < 6; n++) {
      const scene = drawScene(Random.of("sizes", n));
      const small = renderScene(scene, 32).image.data;
      const large = shrink(renderScene(scene, 128).image, 32).data;
      const error = small.reduce((sum, value, i) => sum + Math.abs(value - large[i]!), 0) / small.length;
      expect(error).toBeLessThan(0.015);
    }
  });

  test("is lit from the light's side, with a shadow on the other", () => {
    const lit = (azimuth: number) =>
      renderScene(sceneOf([object()], { light: { azimuth, elevation: 0.7 } }), size);
    const brightness = (scene: ReturnType<typeof lit>, x: number, y: number) =>
      scene.image.data[(y * size + x) * 3]!;
    const [left, right] = [lit(-1.2), lit(1.2)];
    const middle = Math.floor(size * 0.46);
    expect(brightness(left, 26, middle)).toBeGreaterThan(brightness(left, 38, middle) + 0.1);
    expect(brightness(right, 38, middle)).toBeGreaterThan(brightness(right, 26, middle) + 0.1);
    const empty = renderScene(sceneOf([]), size).image.data;
    const darker = (scene: ReturnType<typeof lit>, from: number, to: number) => {
      let sum = 0;
      for (let i = 0; i < size * size; i++)
        if (i % size >= from && i % size < to && !scene.segmentation[i])
          sum += Math.max(empty[i * 3]! - scene.image.data[i * 3]! - 0.1, 0);
      return sum;
    };
    expect(darker(left, 32, 64)).toBeGreaterThan(3 * darker(left, 0, 32));
    expect(darker(right, 0, 32)).toBeGreaterThan(3 * darker(right, 32, 64));
  });
});

describe("drawScene", () => {
  test("gives the same scene for the same stream, others for others", () => {
    const draw = (n: number): Scene => drawScene(Random.of("same", n));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const [a, b] = [renderScene(draw(1), 32), renderScene(draw(1), 32)];
    expect(largestDifference(a.image.data, b.image.data)).toBe(0);
  });

  test("keeps to the options", () => {
    for (let n = 0; n < 40; n++) {
      const scene = drawScene(Random.of("options", n), {
        count: 3,
        places: ["beach", "meadow"],
        times: ["night"],
        wanted: [{ shape: "cone", color: "blue" }],
        allowed: ({ shape }) => shape !== "cone",
      });
      expect(scene.objects).toHaveLength(3);
      expect(["beach", "meadow"]).toContain(scene.place);
      expect(scene.time).toBe("night");
      const [first, ...others] = scene.objects;
      expect(first).toMatchObject({ shape: "cone", color: "blue" });
      for (const other of others) expect(other.shape).not.toBe("cone");
      expect(isWellPlaced(scene)).toBe(true);
    }
  });

  test("shows every object: none is hidden or out of view", () => {
    for (let n = 0; n < 40; n++) {
      const scene = drawScene(Random.of("visible", n));
      const { segmentation } = renderScene(scene, size);
      scene.objects.forEach((_, index) => {
        const seen = segmentation.reduce((count, id) => count + (id === index + 1 ? 1 : 0), 0);
        expect(seen).toBeGreaterThan(20);
      });
    }
  });
});
