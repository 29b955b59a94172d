/** @file What a model will need of memory, known before it is loaded, and what there is. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UsageError, XPromptError } from "../errors.ts";
import { formatBytes } from "../progress.ts";

/** Bytes. */
export interface MemoryNeed {
  /** The weights as they are run: quantized ones as they are stored, others in float32. */
  readonly weights: number;
  /** Keys and values of one token. */
  readonly cachePerToken: number;
  /** Keys and values at the model's full length, a row. */
  readonly cache: number;
  /** Intermediate values while the longest prompt is read or a picture is decoded, an estimate from above. */
  readonly activations: number;
  /** Weights, cache and activations. */
  readonly total: number;
}

export function memoryNeed(parts: Omit<MemoryNeed, "total">): MemoryNeed {
  return { ...parts, total: parts.weights + parts.cache + parts.activations };
}

/**
 * Makes sure, before anything is loaded, that there is enough memory for it.
 * @param doing "loading model nano"
 * @throws XPromptError with what is needed, what there is, and what to do
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
 * Makes sure, before long work, that there is memory for it.
 * @param what what takes it: "128 sequences of 1,000 tokens"
 * @param advice what to do about it
 * @throws XPromptError with what is needed, what there is, and the advice
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
 * Bytes that this process may still take: what the machine can give without swapping, or less where a control group
 * (a container) limits it. The variable XPROMPT_MEMORY_LIMIT, a number of bytes, stands for it where it is set.
 * @param root where the system's files are
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
  // os.freemem would leave out what the disk cache holds, which is most of the memory after a while.
  if (kibibytes === undefined) return process.availableMemory();
  return Math.max(0, Math.min(Number(kibibytes) * 1024, await leftInControlGroups(root)));
}

/** How a generation of control groups tells about memory. */
interface ControlGroups {
  /** Matches this process's line in /proc/self/cgroup and captures the group. */
  readonly line: RegExp;
  readonly folder: string;
  readonly limit: string;
  readonly used: string;
  /** Name, in memory.stat, of the disk cache that gives way when memory is wanted. */
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

/** The least that this process's control group and those around it still allow. */
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
