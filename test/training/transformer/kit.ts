/** @file The simplest mix of contexts: changes of one example each, of procedural scenes, without words. */
import { type Mix, mixSettings } from "../../../src/training/transformer/mix.ts";

export const plainMix: Mix = {
  ...mixSettings.parse({
    pairsShare: 0,
    pairsHeldOut: 0,
    describe: 0,
    textToImage: 0,
    imageToText: 0,
    withoutExample: 0,
    exampleInstruction: 0,
    todoInstruction: 0,
  }),
  pairs: [],
};
