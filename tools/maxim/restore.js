/**
 * @file MAXIM (Tu et al. 2022, https://arxiv.org/abs/2201.02973) as the packages @upscalerjs/maxim-* carry it, run by
 * TensorFlow.js on WebAssembly. The backend has no Einsum; the kernel here serves the equations that MAXIM uses.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";

const fileOf = (path) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));

/** A sum over the one label that only the inputs share: transposed so that it is a matrix product. */
function einsum({ inputs, attrs }) {
  const [terms, out] = attrs.equation.split("->");
  const [left, right] = terms.split(",");
  const summed = [...left].find((label) => right.includes(label) && !out.includes(label));
  const [rows, columns] = [left, right].map((term) => [...term].filter((label) => label !== summed));
  const order = (from, to) => to.map((label) => from.indexOf(label));
  return tf.tidy(() => {
    const [a, b] = [inputs[0], inputs[1]];
    const sizes = new Map([...left].map((label, i) => [label, a.shape[i]]));
    for (const [i, label] of [...right].entries()) sizes.set(label, b.shape[i]);
    const depth = sizes.get(summed);
    const matrix = tf.reshape(tf.transpose(a, order(left, [...rows, summed])), [-1, depth]);
    const other = tf.reshape(tf.transpose(b, order(right, [summed, ...columns])), [depth, -1]);
    const labels = [...rows, ...columns];
    const product = tf.reshape(
      tf.matMul(matrix, other),
      labels.map((label) => sizes.get(label)),
    );
    return tf.transpose(product, order(labels, [...out]));
  });
}

/** @returns a function from a picture `{ width, height, data }` (RGB, row by row, 0 to 1) to the restored one */
export async function loadMaxim(task) {
  if (!tf.getKernel("Einsum", "wasm")) {
    setWasmPaths(fileOf("@tensorflow/tfjs-backend-wasm/dist/"));
    await tf.setBackend("wasm");
    tf.registerKernel({ kernelName: "Einsum", backendName: "wasm", kernelFunc: einsum });
  }
  const read = (name) => readFileSync(fileOf(`@upscalerjs/maxim-${task}/models/${name}`));
  const { modelTopology, weightsManifest } = JSON.parse(read("model.json"));
  const shards = weightsManifest.flatMap(({ paths }) => paths).map(read);
  const model = await loadGraphModel({
    load: async () => ({
      modelTopology,
      weightSpecs: weightsManifest.flatMap(({ weights }) => weights),
      weightData: new Uint8Array(Buffer.concat(shards)).buffer,
    }),
  });
  return async ({ width, height, data }) => {
    const input = tf.tensor4d(data, [1, height, width, 3]);
    const output = model.execute(input);
    const restored = Float32Array.from(await output.data(), (value) => Math.min(Math.max(value, 0), 1));
    tf.dispose([input, output]);
    return { width, height, data: restored };
  };
}
