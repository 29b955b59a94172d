/** @file Resources that belong together: opened one after another, released all, the latest first. */

/** What holds memory, threads or files until it is released, or closed. */
type Resource = { release(): Promise<unknown> } | { close(): Promise<unknown> };

/** @example const session = resources.own(await Session.create(model)); */
export class Resources {
  private readonly held: (() => Promise<unknown>)[] = [];

  /** Takes charge of a resource, and returns it. */
  own<T extends Resource>(resource: T): T {
    this.held.push(() => ("release" in resource ? resource.release() : resource.close()));
    return resource;
  }

  /** Adds what is to be done when all are released. */
  defer(work: () => Promise<unknown>): void {
    this.held.push(work);
  }

  /** Releases everything, whatever fails; throws the first failure. Later calls find nothing to do. */
  async release(): Promise<void> {
    const failures: unknown[] = [];
    while (this.held.length > 0) await this.held.pop()!().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** Builds something out of resources, which are released when that fails. They belong to what was built otherwise. */
export async function buildWith<T>(build: (resources: Resources) => Promise<T>): Promise<T> {
  const resources = new Resources();
  try {
    return await build(resources);
  } catch (error) {
    await resources.release().catch(() => {}); // the error of the work is the one to report
    throw error;
  }
}

/** Does some work with resources, which are released at its end, however it ends. */
export async function workWith<T>(work: (resources: Resources) => Promise<T>): Promise<T> {
  return buildWith(async (resources) => {
    const result = await work(resources);
    await resources.release();
    return result;
  });
}
