/**
 * @file Finds whole JPEG streams inside another file, such as the `.edj` themes of Enlightenment.
 *
 * A stream starts with FF D8 FF. Its segments (FF, marker, 16-bit length) are walked to the scan, whose data end at the
 * first marker that is neither a restart (D0 to D7) nor a stuffed zero. Source: ITU-T T.81, annex B.
 */
export interface JpegStream {
  readonly width: number;
  readonly height: number;
  readonly bytes: Buffer;
}

/** In the file's order. Thumbnails inside a stream's header are skipped with the header. */
export function findJpegs(bytes: Buffer): JpegStream[] {
  const streams: JpegStream[] = [];
  const start = Buffer.from([0xff, 0xd8, 0xff]);
  for (let at = bytes.indexOf(start); at >= 0; ) {
    const stream = readStream(bytes, at);
    if (stream) streams.push(stream);
    at = bytes.indexOf(start, at + (stream?.bytes.length ?? 1));
  }
  return streams;
}

/** The stream that starts at `start`; undefined where the bytes only look like one. */
function readStream(bytes: Buffer, start: number): JpegStream | undefined {
  let [width, height] = [0, 0];
  let at = start + 2;
  while (at + 2 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    if (marker === 0xd9) {
      return width > 0 ? { width, height, bytes: bytes.subarray(start, at + 2) } : undefined;
    }
    if (at + 9 > bytes.length) return undefined;
    const length = bytes.readUInt16BE(at + 2);
    if (isFrameHeader(marker)) {
      height = bytes.readUInt16BE(at + 5);
      width = bytes.readUInt16BE(at + 7);
    }
    at += 2 + length;
    if (marker === 0xda) at = endOfScan(bytes, at);
  }
  return undefined;
}

const isFrameHeader = (marker: number) =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;

function endOfScan(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1]!;
    if (next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  return bytes.length;
}
