/** @file The memory a model will need, estimated before loading, and the available memory. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UsageError, XPromptError } from "../errors.ts";
import { formatBytes } from "../progress.ts";

/** In bytes. */
export interface MemoryNeed {
  /** The weights in memory: quantized ones as stored, others in float32. */
  readonly weights: number;
  /** Keys and values of one token. */
  readonly cachePerToken: number;
  /** Keys and values per row at the model's full length. */
  readonly cache: number;
  /** Intermediate values of a prefill of the longest prompt or of decoding an image: an upper bound. */
  readonly activations: number;
  /** Weights, cache and activations. */
  readonly total: number;
}

export function memoryNeed(parts: Omit<MemoryNeed, "total">): MemoryNeed {
  return { ...parts, total: parts.weights + parts.cache + parts.activations };
}

/**
 * Checks that a model fits in memory before it is loaded.
 * @param doing for errors: "loading model nano"
 * @throws XPromptError when it does not fit
 */
export async function requireMemory(doing: string, need: MemoryNeed): Promise<void> {
  const available = await availableMemory();
  if (need.total <= available) return;
  const { weights, cache, activations } = need;
  throw new XPromptError(
    `${doing}: expected ${formatBytes(need.total)} of memory (weights ${formatBytes(weights)}, cache ${formatBytes(cache)}, activations ${formatBytes(activations)}), got ${formatBytes(available)} available (convert it: xprompt convert FOLDER --quantize int4 --output SMALLER; or close other programs)`,
    { code: "ERR_MEMORY" },
  );
}

/**
 * @param what the purpose of the memory: "128 sequences of 1,000 tokens"
 * @param what what needs the memory: "128 sequences of 1,000 tokens"
 * @param advice what to do if there is not enough
 * @throws XPromptError when there is not enough
 */
export async function requireRoom(doing: string, bytes: number, what: string, advice: string): Promise<void> {
  const available = await availableMemory();
  if (bytes <= available) return;
  throw new XPromptError(
    `${doing}: expected ${formatBytes(bytes)} of memory for ${what}, got ${formatBytes(available)} available (${advice})`,
    { code: "ERR_MEMORY" },
  );
}

/**
 * Bytes that this process can still allocate: the machine's free memory without swapping, or the limit of a control
 * group (a container) if that is less. The environment variable XPROMPT_MEMORY_LIMIT, a number of bytes, overrides
 * both.
 * @param root the root of the system's files
 */
export async function availableMemory(root = "/"): Promise<number> {
  const limit = process.env.XPROMPT_MEMORY_LIMIT;
  if (limit !== undefined && limit !== "") {
    if (!/^\d+$/.test(limit))
      throw new UsageError(`XPROMPT_MEMORY_LIMIT: expected a number of bytes, got ${JSON.stringify(limit)}`);
    return Number(limit);
  }
  const text = await read(join(root, "proc/meminfo"));
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text ?? "")?.[1];
  // os.freemem leaves out the disk cache, which soon holds most of the memory.
  if (kibibytes === undefined) return process.availableMemory();
  return Math.max(0, Math.min(Number(kibibytes) * 1024, await leftInControlGroups(root)));
}

/** How one version of control groups reports memory. */
interface ControlGroups {
  /** Matches this process's line in /proc/self/cgroup and captures the group. */
  readonly line: RegExp;
  readonly folder: string;
  readonly limit: string;
  readonly used: string;
  /** The name of the reclaimable disk cache in memory.stat. */
  readonly reclaimable: string;
}

const generations: readonly ControlGroups[] = [
  {
    line: /^0::(.*)$/m,
    folder: "sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    reclaimable: "inactive_file",
  },
  {
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    folder: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
  },
];

/** The bytes that the control group of this process and its parents still allow. */
async function leftInControlGroups(root: string): Promise<number> {
  const own = (await read(join(root, "proc/self/cgroup"))) ?? "";
  let left = Number.POSITIVE_INFINITY;
  for (const { line, folder, limit, used, reclaimable } of generations) {
    const group = line.exec(own)?.[1];
    if (group === undefined) continue;
    // In a container the group's own path may not be there, but its root is.
    for (let path = group; ; path = dirname(path)) {
      const at = (name: string) => read(join(root, folder, path, name));
      const [most, now] = [await at(limit), await at(used)].map((text) => Number(text ?? Number.NaN));
      if (Number.isFinite(most) && Number.isFinite(now)) {
        const cached = new RegExp(`^${reclaimable} (\\d+)$`, "m").exec((await at("memory.stat")) ?? "")?.[1];
        left = Math.min(left, most! - now! + Number(cached ?? 0));
      }
      if (path === dirname(path)) break;
    }
  }
  return left;
}

const read = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined);
