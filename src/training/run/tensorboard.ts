/**
 * @file TensorBoard event files: TFRecords of `tensorflow.Event` protocol buffers. The field numbers come from
 * tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
 */
import { type FileHandle, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { PbfWriter } from "pbf";
import { attempt, makeFolder } from "../../runtime/files.ts";
import { buildWith } from "../../runtime/resources.ts";

export interface EventWriterOptions {
  /** The step that a run resumes from. TensorBoard then ignores later events of older files. */
  readonly resumeAt?: number;
  /** Milliseconds since 1970. Defaults to the system's clock. */
  readonly clock?: () => number;
}

let filesOfThisProcess = 0;

export class EventWriter {
  private constructor(
    /** Path of the event file. */
    readonly path: string,
    private readonly file: FileHandle,
    private readonly clock: () => number,
  ) {}

  /**
   * Creates a new event file in `folder`. TensorBoard reads all files of a folder, ordered by name.
   * @throws XPromptError when the file cannot be made
   */
  static async open(
    folder: string,
    { resumeAt, clock = Date.now }: EventWriterOptions = {},
  ): Promise<EventWriter> {
    const seconds = Math.floor(clock() / 1000)
      .toString()
      .padStart(10, "0");
    const name = `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${filesOfThisProcess++}`;
    const path = join(folder, name);
    await makeFolder(folder);
    const file = await attempt(`making ${path}`, path, () => open(path, "ax"));
    return buildWith(async (resources) => {
      const writer = resources.own(new EventWriter(path, file, clock));
      await writer.write(0, (event) => event.writeStringField(3, "brain.Event:2"));
      if (resumeAt !== undefined) {
        // SessionLog { status: START } discards all earlier events from this step on.
        await writer.write(resumeAt + 1, (event) => message(event, 7, (log) => log.writeVarintField(1, 1)));
      }
      return writer;
    });
  }

  /** Writes one point of each named curve. */
  async scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    await this.summary(step, (summary) => {
      for (const [name, value] of Object.entries(values)) {
        message(summary, 1, (field) => {
          field.writeStringField(1, name);
          field.writeFloatField(2, value);
        });
      }
    });
  }

  /**
   * Writes an image under `name`.
   * @param png the bytes of a PNG file
   * @throws TypeError when `png` is not a PNG file
   */
  async image(step: number, name: string, png: Uint8Array): Promise<void> {
    const { width, height, channels } = pngHeader(png);
    await this.summary(step, (summary) => {
      message(summary, 1, (field) => {
        field.writeStringField(1, name);
        message(field, 4, (image) => {
          image.writeVarintField(1, height);
          image.writeVarintField(2, width);
          image.writeVarintField(3, channels);
          image.writeBytesField(4, png);
        });
      });
    });
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private summary(step: number, fill: (summary: PbfWriter) => void): Promise<void> {
    return this.write(step, (event) => message(event, 5, fill));
  }

  /** Event { wall_time = 1, step = 2, oneof what }. As every proto3 writer does, it omits a step of 0. */
  private async write(step: number, fill: (event: PbfWriter) => void): Promise<void> {
    const event = new PbfWriter();
    event.writeDoubleField(1, this.clock() / 1000);
    if (step !== 0) event.writeVarintField(2, step);
    fill(event);
    await attempt(`writing ${this.path}`, this.path, () => this.file.appendFile(tfRecord(event.finish())));
  }
}

/** Adds a nested message as field `number`. */
function message(into: PbfWriter, number: number, fill: (inner: PbfWriter) => void): void {
  into.writeMessage(number, (_, inner) => fill(inner), undefined);
}

/** Length (u64), its masked checksum (u32), the data, its masked checksum (u32), all little-endian. */
function tfRecord(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + data.length + 4);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return record;
}

/** TFRecord's masked CRC, safe to store inside checksummed data: rotated right by 15 bits, plus a constant. */
function maskedCrc32c(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** CRC of every byte value for the Castagnoli polynomial 0x1EDC6F41, bits reversed. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (RFC 3720, appendix B.4). Node's zlib has only CRC-32. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Reads the IHDR chunk. Channels as TensorBoard counts them: a palette image has 3. */
function pngHeader(png: Uint8Array): { width: number; height: number; channels: number } {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  if (bytes.length < 33 || bytes.toString("latin1", 1, 4) !== "PNG") {
    throw new TypeError("EventWriter.image: expected the bytes of a PNG file, got something else");
  }
  const channels = { 0: 1, 2: 3, 3: 3, 4: 2, 6: 4 }[bytes[25]!] ?? 3;
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), channels };
}
