/** @file Runs a callback after the events that wait. By a message, because timers of browsers wait at least 4 ms. */
import type * as node from "./soon.ts";

export const soon: typeof node.soon = (callback) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    callback();
  };
  port2.postMessage(undefined);
};
