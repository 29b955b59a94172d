/**
 * @file Computes the expert column of `eval photos` and stores it: MAXIM's restorations of the suite's own queries.
 *
 *     npm run maxim -- --pictures DIR [--limit 4]
 *
 * Half a minute of one core per picture.
 */
import { parseArgs } from "node:util";
import { photoChanges } from "../../src/evaluation/gathered/photo-changes.ts";
import { photoQueries } from "../../src/evaluation/gathered/photo-queries.ts";
import { openHeldOut } from "../../src/evaluation/gathered/pictures.ts";
import { boundedPsnr } from "../../src/evaluation/metrics/pictures.ts";
import { saveImage } from "../../src/image/index.ts";
import { writeFileAtomic } from "../../src/runtime/files.ts";
import { loadMaxim } from "./restore.js";

/** The change of the suite that each of MAXIM's models undoes. */
const models: Readonly<Record<string, string>> = {
  derain: "deraining",
  denoise: "denoising",
  deblur: "deblurring",
  dehaze: "dehazing-outdoor",
  brighten: "enhancement",
};

/** The seed that the suite reports with by default. */
const SEED = 2026;
const SIZE = 256;

const { values } = parseArgs({
  options: {
    pictures: { type: "string" },
    limit: { type: "string", default: "4" },
    /** Folder to write the restored pictures to. */
    out: { type: "string" },
  },
});
if (!values.pictures) throw new Error("expected --pictures DIR, the folder that npm run gather wrote");
const gathered = openHeldOut(values.pictures);
const queries = photoQueries(gathered, { size: SIZE, limit: Number(values.limit), seed: SEED });
const psnr: Record<string, number[]> = {};
for (const [name, task] of Object.entries(models)) {
  const restore = await loadMaxim(task);
  const change = photoChanges.find((each) => each.name === name)!;
  psnr[name] = [];
  for (let i = 0; i < queries.names.length; i++) {
    const { input, truth } = queries.of(change, i);
    const restored = await restore(input);
    if (values.out) await saveImage(`${values.out}/${name}-${i}.png`, restored);
    psnr[name].push(Number(boundedPsnr(restored, truth).toFixed(3)));
    console.error(
      `${name} ${i + 1}/${queries.names.length}: ${boundedPsnr(input, truth).toFixed(2)} → ${psnr[name][i]} dB`,
    );
  }
}
const stored = { digest: gathered.digest, photographs: queries.names, size: SIZE, seed: SEED, psnr };
await writeFileAtomic(
  "src/evaluation/gathered/expert-figures.ts",
  `/** @file Written by \`npm run maxim\`: PSNR in dB by change, one value per query. */
export const stored: {
  readonly digest: string;
  readonly photographs: readonly string[];
  readonly size: number;
  readonly seed: number;
  readonly psnr: Readonly<Record<string, readonly number[]>>;
} = ${JSON.stringify(stored, null, 2)};
`,
);
