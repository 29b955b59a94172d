/**
 * Draws the same picture on the CPU and on WebGPU in both ways of decoding, likeliest codes first, and fails where the
 * codes differ. Needs an adapter; `.ci/webgpu` provides one in software.
 */
import { join } from "node:path";
import { XPrompt } from "x-prompt";

const folder = join(import.meta.dirname, "..", "examples", "seen", "invert");
const picture = (name: string) => join(folder, `${name}.png`);

async function codes(device: "cpu" | "webgpu", onePass: boolean): Promise<readonly number[]> {
  const model = await XPrompt.load("nano", { device });
  const prompt = await model.compress([{ input: picture("before"), output: picture("after") }]);
  const request = { prompt, input: picture("query-1"), seed: 1, temperature: 0, onePass };
  const { codes } = await model.generate(request);
  await model.release();
  return codes[0]!;
}

for (const onePass of [true, false]) {
  const [cpu, webgpu] = [await codes("cpu", onePass), await codes("webgpu", onePass)];
  const same = cpu.filter((code, i) => code === webgpu[i]).length;
  console.error(`webgpu, ${onePass ? "in one pass" : "code by code"}: ${same} of 256 codes as on the CPU`);
  if (cpu.length !== 256 || webgpu.length !== 256 || same !== 256) process.exitCode = 1;
}
