/**
 * Runs before onnxruntime-node's install script, which downloads CUDA libraries of several hundred megabytes on Linux
 * x64 and makes the whole installation fail where their host is out of reach. The script downloads nothing where the
 * files are there, so this puts empty ones in their places. npm up to 11 runs every preinstall script before the first
 * postinstall script; npm 12 and pnpm run neither of the two.
 *
 * Does nothing where CUDA is asked for (ONNXRUNTIME_NODE_INSTALL), and where the project depends on onnxruntime-node
 * itself. To add CUDA later: docs/devices.md.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const { env, platform, arch } = process;

function dependsItself(project) {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  return "onnxruntime-node" in { ...dependencies, ...devDependencies };
}

function skipCuda() {
  if (env.ONNXRUNTIME_NODE_INSTALL || env.npm_config_onnxruntime_node_install) return;
  if (env.npm_config_local_prefix && dependsItself(env.npm_config_local_prefix)) return;
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve("onnxruntime-node/package.json"));
  const { requirements, manifests } = require("onnxruntime-node/script/install-metadata.js");
  for (const name of requirements[`${platform}/${arch}`] ?? []) {
    for (const file of Object.keys(manifests[`${platform}/${arch}:${name}`])) {
      const path = join(root, "bin", "napi-v6", platform, arch, file);
      if (!existsSync(path)) writeFileSync(path, "");
    }
  }
}

try {
  skipCuda();
} catch {
  // Without this step onnxruntime-node installs as it does everywhere else.
}
