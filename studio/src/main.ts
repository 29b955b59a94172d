/** @file The page of `xprompt serve`: the model is that of the server. */
import { httpBackend } from "./lib/http/backend.ts";
import { show } from "./show.ts";

show(httpBackend(document.baseURI));
