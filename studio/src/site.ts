/** @file The page without a server (`npm run build:site`): the model is in a worker of the page. */
import { localBackend } from "./lib/local/backend.ts";
import { startServiceWorker } from "./lib/local/offline.ts";
import { show } from "./show.ts";

if (await startServiceWorker()) show(localBackend(document.baseURI));
