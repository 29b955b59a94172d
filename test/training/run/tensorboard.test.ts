import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { crc32c, EventWriter } from "../../../src/training/run/tensorboard.ts";

const fixture = (name: string) => readFile(new URL(`../../fixtures/tensorboard/${name}`, import.meta.url));
const clock = () => 1767225600500;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-events-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("crc32c", () => {
  const bytes = (make: (index: number) => number) =>
    Uint8Array.from({ length: 32 }, (_, index) => make(index));

  // RFC 3720, appendix B.4, as 32-bit numbers; and the check value of the CRC catalogue.
  test.each([
    ["32 zeros", bytes(() => 0), 0x8a9136aa],
    ["32 ones", bytes(() => 0xff), 0x62a8ab43],
    ["counting up", bytes((index) => index), 0x46dd794e],
    ["counting down", bytes((index) => 31 - index), 0x113fdb5c],
    ["123456789", Buffer.from("123456789"), 0xe3069283],
    ["nothing", new Uint8Array(), 0],
  ])("of %s", (_name, data, expected) => {
    expect(crc32c(data)).toBe(expected);
  });
});

describe("EventWriter", () => {
  test("writes the same bytes as TensorBoard's own writer", async () => {
    const writer = await EventWriter.open(folder, { clock, resumeAt: 2 });
    await writer.scalars(0, { loss: 0 });
    await writer.scalars(300, { "train/loss": 3.25, learning_rate: 1e-4 });
    await writer.scalars(300, { größe: Number.NaN });
    await writer.image(5_000_000_000, "sample", await fixture("picture.png"));
    await writer.close();
    expect(await readFile(writer.path)).toEqual(await fixture("expected.tfevents"));
  });

  test("starts a fresh run with the file version alone", async () => {
    const writer = await EventWriter.open(folder, { clock });
    await writer.close();
    const [header] = splitRecords(await fixture("expected.tfevents"));
    expect(await readFile(writer.path)).toEqual(header);
  });

  test("gives files names that TensorBoard finds and sorts by time", async () => {
    const nested = join(folder, "run", "events");
    const first = await EventWriter.open(nested, { clock });
    const second = await EventWriter.open(nested, { clock });
    await Promise.all([first.close(), second.close()]);
    const names = await readdir(nested);
    expect(names).toHaveLength(2);
    for (const name of names) expect(name).toMatch(/^events\.out\.tfevents\.1767225600\./);
  });

  test("refuses an image that is no PNG, and an impossible folder", async () => {
    const writer = await EventWriter.open(folder, { clock });
    await expect(writer.image(1, "sample", new Uint8Array(100))).rejects.toThrow(
      "expected the bytes of a PNG file",
    );
    await writer.close();
    await expect(EventWriter.open(join(writer.path, "below"))).rejects.toBeInstanceOf(XPromptError);
  });
});

/** Splits a file at the lengths of its records. */
function splitRecords(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const end = at + 16 + Number(file.readBigUInt64LE(at));
    records.push(file.subarray(at, end));
    at = end;
  }
  return records;
}
