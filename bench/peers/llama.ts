/**
 * @file llama.cpp as the peer of `bench 7b`: loads a GGUF file, prefills a prompt, and generates token by token. It runs
 * through node-llama-cpp, whose package has the compiled library:
 *
 *     npm install --prefix bench/peers/llama --ignore-scripts
 */
import { z } from "zod";
import { serve } from "../worker.ts";

/** The used part of the library, which the project itself does not install. */
interface Library {
  getLlama(options: { gpu: false; build: "never"; logLevel: "error" }): Promise<{
    loadModel(options: { modelPath: string; gpuLayers: 0 }): Promise<{
      createContext(options: { contextSize: number; batchSize: number; threads: number }): Promise<{
        getSequence(): Sequence;
      }>;
    }>;
  }>;
}

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: { temperature: 0 }): AsyncGenerator<number>;
}

const settingsSchema = z.strictObject({
  file: z.string(),
  prompt: z.array(z.int()),
  positions: z.int(),
  piece: z.int(),
  threads: z.int(),
});
const { file, prompt, positions, piece, threads } = settingsSchema.parse(JSON.parse(process.argv[2]!));
const library: string = new URL("llama/node_modules/node-llama-cpp/dist/index.js", import.meta.url).href;
const { getLlama } = (await import(library)) as Library;
const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });

let sequence: Sequence | undefined;
let tokens: AsyncGenerator<number> | undefined;

await serve(
  {},
  {
    load: async () => {
      const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
      // It aborts if a prompt takes more than one batch.
      const context = await model.createContext({
        contextSize: positions,
        batchSize: prompt.length + 1,
        threads,
      });
      sequence = context.getSequence();
    },
    /** Up to the first token. */
    prefill: async () => {
      await sequence!.clearHistory();
      tokens = sequence!.evaluate(prompt, { temperature: 0 });
      await tokens.next();
    },
    piece: async () => {
      for (let i = 0; i < piece; i++) await tokens!.next();
    },
  },
);
process.exit();
