/** @file Work after what is waiting: timers of browsers would wait at least 4 ms, a message does not. */
import type * as node from "./soon.ts";

export const soon: typeof node.soon = (callback) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    callback();
  };
  port2.postMessage(undefined);
};
