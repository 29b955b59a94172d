/** @file A page that has `x-prompt/web`, for the tests to use. */
import * as xprompt from "../../../dist/web.js";

Object.assign(globalThis, { xprompt });
