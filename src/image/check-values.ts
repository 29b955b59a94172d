/** @file Checks decoded pictures that users pass. */
import { XPromptError } from "../errors.ts";
import { areFinite } from "../finite.ts";
import type { ByteImage, Image } from "./image.ts";

/** Values from 0 to 1 with filters that overshoot stay between; bytes in a Float32Array, or values from −1, do not. */
const [SMALLEST, LARGEST] = [-0.5, 2];

/**
 * @param doing what the picture is for, in errors
 * @throws XPromptError for a wrong number of values, or values that are no colours from 0 to 1
 */
export function checkValues({ width, height, data }: Image | ByteImage, doing: string): void {
  const isSide = (side: number) => Number.isInteger(side) && side > 0;
  if (!(isSide(width) && isSide(height)))
    throw new XPromptError(`${doing}: expected a whole width and height, got ${width} × ${height}`);
  if (data?.length !== 3 * width * height)
    throw new XPromptError(
      `${doing}: expected ${3 * width * height} values for ${width} × ${height}, got ${data?.length} (three for each pixel)`,
    );
  if (data instanceof Uint8Array) return;
  if (!areFinite(data))
    throw new XPromptError(
      `${doing}: expected finite values, got NaN or infinite ones (values of a picture are from 0 to 1)`,
    );
  let [smallest, largest] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    if (data[i]! < smallest) smallest = data[i]!;
    if (data[i]! > largest) largest = data[i]!;
  }
  if (smallest < SMALLEST)
    throw new XPromptError(
      `${doing}: expected values from 0 to 1, got down to ${smallest} (add 1 and divide by 2, if they are from −1 to 1)`,
    );
  if (largest > LARGEST)
    throw new XPromptError(
      `${doing}: expected values from 0 to 1, got up to ${largest} (divide by 255, or pass bytes in a Uint8Array)`,
    );
}
