import "@fontsource-variable/bricolage-grotesque/wght.css";
import "@fontsource-variable/instrument-sans/wght.css";
import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import type { Backend } from "./lib/backend.ts";

export const show = (backend: Backend) =>
  mount(App, { target: document.querySelector("#app")!, props: { backend } });
