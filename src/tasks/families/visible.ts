/** @file Sampling until something fits: a case in which a change can be seen. */
import type { Images } from "../task.ts";

/** Further attempts after the first. */
const RETRIES = 30;

/** Further attempts for two changes together, each of which draws pictures of its own. */
export const PAIR_RETRIES = 4;

/** The first of several samples that `fits`, or else the last one. */
export function drawFitting<T>(draw: () => T, fits: (drawn: T) => boolean, retries = RETRIES): T {
  let drawn = draw();
  for (let tries = 0; tries < retries && !fits(drawn); tries++) drawn = draw();
  return drawn;
}

/** Whether a change alters at least this share of a picture's values by more than `shade`. */
function alters({ input, output }: Images, share: number, shade: number): boolean {
  let altered = 0;
  input.data.forEach((value, i) => {
    if (Math.abs(value - output.data[i]!) > shade) altered++;
  });
  return altered >= share * input.data.length;
}

/** Whether a change of an icon is visible: a contour in the colour of the background is not. */
export const isVisible = (images: Images): boolean => alters(images, 0.01, 0.12);

/** Whether a change of a whole picture, which may be slight, has an effect: grayscale of a black icon has none. */
export const hasEffect = (images: Images): boolean => alters(images, 0.005, 0.05);
