/** @file Resources that belong together: opened one after another, all released, the latest first. */

/** @example const session = resources.own(await Session.create(model)); */
export class Resources {
  private readonly held: (() => PromiseLike<unknown>)[] = [];

  /** Takes charge of a resource, and returns it. */
  own<T extends AsyncDisposable>(resource: T): T {
    this.held.push(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Adds work to do when all are released. */
  defer(work: () => Promise<unknown>): void {
    this.held.push(work);
  }

  /** Releases everything, even after a failure, and throws the first failure. Calling it again is fine. */
  async release(): Promise<void> {
    const failures: unknown[] = [];
    while (this.held.length > 0) {
      try {
        await this.held.pop()!();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** Builds something from resources. They are released if that fails; otherwise they belong to what was built. */
export async function buildWith<T>(build: (resources: Resources) => Promise<T>): Promise<T> {
  const resources = new Resources();
  try {
    return await build(resources);
  } catch (error) {
    await resources.release().catch(() => {}); // the error of the work is the one to report
    throw error;
  }
}

/** Works with resources and releases them at the end, also after a failure. */
export async function workWith<T>(work: (resources: Resources) => Promise<T>): Promise<T> {
  return buildWith(async (resources) => {
    const result = await work(resources);
    await resources.release();
    return result;
  });
}
