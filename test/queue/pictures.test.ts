/** @file Pictures in jobs: what a worker refuses to unpack. */
import { expect, test } from "vitest";
import { packedPicture, unpackPicture } from "../../src/queue/pictures.ts";

test("a few bytes that claim more pixels than a picture may have are refused before they are inflated", async () => {
  const packed = packedPicture.parse({ width: 16_384, height: 4000, floats: "AAAA" });
  await expect(unpackPicture(packed, "input")).rejects.toThrow(
    "reading input of a job: expected at most 64000000 pixels, got 16384 × 4000",
  );
});
