import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { siteFiles } from "./site/files.ts";

/** Names without hashes: the service worker keeps the files of one version in a cache of that version. */
const names = { entryFileNames: "[name].js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" };

/** `--mode site` builds the page with the model in it, for any static host. */
export default defineConfig(({ mode }) => ({
  root: import.meta.dirname,
  // Relative addresses: the page works under any path.
  base: "./",
  plugins: [svelte(), ...(mode === "site" ? [siteFiles()] : [])],
  // onnxruntime finds its WebAssembly by the address that the page gives it.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "development|production"] },
  worker: { format: "es" as const, rolldownOptions: { output: names } },
  build: {
    outDir: mode === "site" ? "../dist/site" : "../dist/studio",
    emptyOutDir: true,
    target: "es2023",
    ...(mode === "site" && { rolldownOptions: { output: names } }),
  },
  // `npm run dev:studio` shows the page as it is written; the model is that of a running `xprompt serve`.
  // The host stays that of the page: the server refuses pages of other origins.
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8000", changeOrigin: false } } },
}));
