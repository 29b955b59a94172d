/**
 * Draws the same picture on the CPU and on WebGPU, likeliest codes first, and fails where they differ. Needs an
 * adapter; `.ci/webgpu` provides one in software.
 */
import { join } from "node:path";
import { XPrompt } from "x-prompt";

const folder = join(import.meta.dirname, "..", "examples", "seen", "invert");
const picture = (name: string) => join(folder, `${name}.png`);

async function codes(device: "cpu" | "webgpu"): Promise<readonly number[]> {
  const model = await XPrompt.load("nano", { device });
  const prompt = await model.compress([{ input: picture("before"), output: picture("after") }]);
  const { codes } = await model.generate({ prompt, input: picture("query-1"), seed: 1, temperature: 0 });
  await model.release();
  return codes[0]!;
}

const [cpu, webgpu] = [await codes("cpu"), await codes("webgpu")];
const differing = cpu.filter((code, i) => code !== webgpu[i]).length;
console.error(`webgpu: ${cpu.length - differing} of ${cpu.length} codes as on the CPU`);
process.exitCode = differing === 0 ? 0 : 1;
