/** @file Identifiers as people read them. */

/** `lowLightEnhancement` → `Low light enhancement`, `heldOut.psnr.photos` → `Held out · psnr · photos`. */
export function titleOf(identifier: string): string {
  const words = identifier
    .replaceAll(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`)
    .replaceAll(".", " · ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
