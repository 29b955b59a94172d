/** @file The second program of `bench 7b`: converts a checkpoint to 4 bits, as `xprompt convert` does. */
import { z } from "zod";
import { blockSizes } from "../src/chameleon/checkpoint/quantize.ts";
import { convertModel } from "../src/chameleon/convert/convert.ts";
import { serve } from "./worker.ts";

const settingsSchema = z.strictObject({
  input: z.string(),
  output: z.string(),
  blockSize: z.literal(blockSizes),
  threads: z.int(),
});
const { input, output, blockSize, threads } = settingsSchema.parse(JSON.parse(process.argv[2]!));
await serve({}, { convert: () => convertModel(input, { format: "int4", blockSize, output, threads }) });
