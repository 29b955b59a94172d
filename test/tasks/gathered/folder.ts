/** @file Writes tiny folders of gathered pictures, byte by byte as described in docs/pictures.md. */
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";

export async function writePackFiles(
  folder: string,
  name: string,
  bin: Uint8Array,
  index: object,
): Promise<void> {
  const sha256 = createHash("sha256").update(bin).digest("hex");
  const whole = { format: "xprompt-gathered-1", bytes: bin.length, sha256, ...index };
  await writeFile(join(folder, `${name}.bin`), bin);
  await writeFile(join(folder, `${name}.json`), JSON.stringify(whole));
}

/** Two photos of 2 × 1 pixels: `a/red` to train on, `b/blue` held out. */
export const photoBytes = Uint8Array.from([255, 0, 0, 200, 0, 0, 0, 0, 255, 0, 0, 200]);

export const writePhotos = (folder: string) =>
  writePackFiles(folder, "photos-tiny", photoBytes, {
    kind: "photos",
    items: [
      { name: "a/red", words: "red", split: "train", width: 2, height: 1, offset: 0, licence: "CC0-1.0" },
      { name: "b/blue", words: "", split: "heldOut", width: 2, height: 1, offset: 6 },
    ],
  });

/** A 2 × 2 icon of two layers: a green background, and a half transparent white pixel at the top left. */
export const ground = Uint8Array.from([0, 128, 0, 255, 0, 128, 0, 255, 0, 128, 0, 255, 0, 128, 0, 255]);
export const dot = Uint8Array.from([255, 255, 255, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

export async function writeIcons(folder: string): Promise<void> {
  const [first, second] = [deflateRawSync(ground), deflateRawSync(dot)];
  const layers = [
    { offset: 0, length: first.length, color: [0, 128 / 255, 0] },
    { offset: first.length, length: second.length },
  ];
  await writePackFiles(folder, "icons-tiny", Buffer.concat([first, second]), {
    kind: "icons",
    style: "flat emoji",
    family: "emoji",
    size: 2,
    items: [{ name: "meadow", words: "green meadow", split: "train", layers }],
  });
}

export async function writeCutouts(folder: string): Promise<void> {
  const bytes = deflateRawSync(dot);
  await writePackFiles(folder, "cutouts-tiny", bytes, {
    kind: "cutouts",
    items: [
      { name: "dot", words: "a dot", split: "heldOut", width: 2, height: 2, offset: 0, length: bytes.length },
    ],
  });
}
