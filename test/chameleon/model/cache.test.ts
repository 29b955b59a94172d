/** @file The cache of keys and values when memory runs out. */
import { afterEach, expect, test, vi } from "vitest";
import { type CacheBlock, KeyValueCache } from "../../../src/chameleon/model/cache.ts";
import { headWidth } from "../../../src/chameleon/model/transformer.ts";
import { Random } from "../../../src/random.ts";
import { tiny } from "../../fixtures/chameleon/kit.ts";

afterEach(() => vi.unstubAllGlobals());

/** Random keys and values of some tokens. */
function someBlock(name: string, length: number): CacheBlock {
  const random = Random.of("block", name);
  const size = tiny.keyValueHeads * length * headWidth(tiny);
  const values = () => Float32Array.from({ length: size }, () => random.normal());
  const layers = Array.from({ length: tiny.layers }, () => ({ keys: values(), values: values() }));
  return { length, heads: tiny.keyValueHeads, layers };
}

/** A cache with a row per block. */
function cacheOf(...blocks: readonly CacheBlock[]): KeyValueCache {
  const cache = new KeyValueCache(blocks.length, tiny);
  for (const [row, block] of blocks.entries()) cache.append(row, block);
  return cache;
}

/** Lets this many more arrays of numbers be allocated. */
function leaveRoomFor(arrays: number): void {
  let left = arrays;
  const construct = (made: typeof Float32Array, [size]: [number]) => {
    if (left-- === 0) throw new RangeError("Array buffer allocation failed");
    return new made(size);
  };
  vi.stubGlobal("Float32Array", new Proxy(Float32Array, { construct }));
}

const [short, long] = [someBlock("short", 20), someBlock("long", 100)];
const other = cacheOf(long);

test.each<[string, (cache: KeyValueCache) => void]>([
  ["more tokens", (cache) => cache.append(1, long)],
  ["more rows", (cache) => cache.addRows(other, [0])],
])("a cache without memory for %s stays as it was, and can be tried again", (_, grow) => {
  const cache = cacheOf(short, short);
  leaveRoomFor(3);
  expect(() => grow(cache)).toThrow("allocation failed");
  vi.unstubAllGlobals();
  expect(cache.lengths).toEqual([20, 20]);
  for (const row of [0, 1]) expect(cache.block(row, 0, 20)).toEqual(short);
  grow(cache);
  for (const row of [0, 1]) expect(cache.block(row, 0, 20)).toEqual(short);
  const [row, start] = cache.rows === 3 ? [2, 0] : [1, 20];
  expect(cache.block(row, start, 100)).toEqual(long);
});

test("a cache without memory to shrink has removed its row all the same", () => {
  const cache = cacheOf(long, short);
  cache.removeRow(0);
  leaveRoomFor(1);
  expect(() => cache.shrink()).toThrow("allocation failed");
  vi.unstubAllGlobals();
  expect(cache.lengths).toEqual([20]);
  expect(cache.block(0, 0, 20)).toEqual(short);
  cache.shrink();
  expect(cache.block(0, 0, 20)).toEqual(short);
});
