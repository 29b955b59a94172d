import "@fontsource-variable/bricolage-grotesque/wght.css";
import "@fontsource-variable/instrument-sans/wght.css";
import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import type { Backend } from "./lib/backend.ts";
import { httpBackend } from "./lib/http/backend.ts";
import { localBackend } from "./lib/local/backend.ts";
import { startServiceWorker } from "./lib/local/offline.ts";

const show = (backend: Backend) =>
  mount(App, { target: document.querySelector("#app")!, props: { backend } });

// `npm run build:site`: the model is in the page. Otherwise it is that of the server which the page came from.
if (import.meta.env.MODE !== "site") show(httpBackend(document.baseURI));
else if (await startServiceWorker()) show(localBackend(document.baseURI));
