import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  // Relative addresses: the page works under any path.
  base: "./",
  plugins: [svelte()],
  build: { outDir: "../dist/studio", emptyOutDir: true, target: "es2023" },
  // `npm run dev:studio` shows the page as it is written; the model is that of a running `xprompt serve`.
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
