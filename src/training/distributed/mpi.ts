/**
 * @file Processes that Open MPI's `mpirun`, or Slurm's `srun` with PMIx, has started. The library is called through
 * koffi, so nothing is compiled. Calls that wait for other processes run in a thread, so that this one still hears
 * signals.
 */
import { firstLineOf, XPromptError } from "../../errors.ts";
import { loadOptional } from "../../optional.ts";
import type { Collective } from "./collective.ts";

const doing = "training over MPI";
/** The library of Open MPI 4 and 5, which have one binary interface. */
const LIBRARY = process.platform === "darwin" ? "libmpi.40.dylib" : "libmpi.so.40";
/** From Open MPI's mpi.h. */
const IN_PLACE = 1;
const THREAD_SERIALIZED = 2;

/**
 * Joins the processes that were started together; a process that was started without a launcher is alone. A process
 * that ends without `close` ends the others.
 * @throws XPromptError that says what to install when koffi or Open MPI is missing
 */
export async function openMpi(): Promise<Collective> {
  const { default: koffi } = await loadOptional(doing, "koffi@3.3.4", () => import("koffi"));
  const library = load(() => koffi.load(LIBRARY));
  const [world, float, sum] = ["comm_world", "float", "op_sum"].map((name) =>
    load(() => library.symbol(`ompi_mpi_${name}`, "char")),
  );
  const declared = (signature: string) => load(() => library.func(signature));
  const mpi = {
    init: declared("int MPI_Init_thread(void *, void *, int, _Out_ int *)"),
    rank: declared("int MPI_Comm_rank(void *, _Out_ int *)"),
    size: declared("int MPI_Comm_size(void *, _Out_ int *)"),
    allReduce: declared("int MPI_Allreduce(intptr_t, void *, int, void *, void *, void *)"),
    broadcast: declared("int MPI_Bcast(void *, int, void *, int, void *)"),
    barrier: declared("int MPI_Barrier(void *)"),
    finalize: declared("int MPI_Finalize()"),
    abort: declared("int MPI_Abort(void *, int)"),
  };
  type Call = (typeof mpi)["init"];

  /** MPI itself ends the job on most errors. */
  const check = (status: number) => {
    if (status !== 0) throw new XPromptError(`${doing}: MPI reported error ${status}`);
  };
  const inThread = (call: Call, ...values: unknown[]) =>
    new Promise<void>((resolve, reject) => {
      call.async(...values, (error: Error | null, status: number) => {
        try {
          if (error) throw error;
          resolve(check(status));
        } catch (failure) {
          reject(failure);
        }
      });
    });
  const answer = (call: Call): number => {
    const value = [0];
    check(call(world, value));
    return value[0]!;
  };

  check(mpi.init(null, null, THREAD_SERIALIZED, [0]));
  const [rank, size] = [answer(mpi.rank), answer(mpi.size)];
  let isOpen = true;
  process.once("exit", (code) => {
    if (isOpen && size > 1) mpi.abort(world, code || 1);
    process.exit(code); // at once: threads of Open MPI do not survive that Node unloads the library
  });
  const close = async () => {
    if (!isOpen) return;
    await inThread(mpi.barrier, world); // MPI_Finalize waits too, but must run in this thread
    isOpen = false;
    check(mpi.finalize());
  };
  return {
    ...{ rank, size, close, [Symbol.asyncDispose]: close },
    allReduce: (values) => inThread(mpi.allReduce, IN_PLACE, values, values.length, float, sum, world),
    broadcast: (values) => inThread(mpi.broadcast, values, values.length, float, 0, world),
    barrier: () => inThread(mpi.barrier, world),
  };
}

function load<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new XPromptError(
      `${doing}: expected Open MPI's library ${LIBRARY}, got: ${firstLineOf(error)} (apt-get install openmpi-bin, or load the cluster's module of Open MPI)`,
      { code: "ERR_PACKAGE", cause: error },
    );
  }
}
