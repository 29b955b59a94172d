import "@fontsource-variable/bricolage-grotesque/wght.css";
import "@fontsource-variable/instrument-sans/wght.css";
import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { httpBackend } from "./lib/http/backend.ts";

mount(App, { target: document.querySelector("#app")!, props: { backend: httpBackend(document.baseURI) } });
