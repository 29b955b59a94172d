/** The studio in a browser: `npm run test:studio`. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/studio/**/*.browser.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One browser at a time.
    fileParallelism: false,
  },
});
