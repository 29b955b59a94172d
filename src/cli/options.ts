/** @file Options that several commands share, and the reading of their values. */

import { access, constants, realpath, stat } from "node:fs/promises";
import { constants as system } from "node:os";
import { dirname, extname, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { type Device, devices } from "../runtime/session.ts";
import type { Example } from "../xprompt/model.ts";
import { type Request, requestSchema } from "../xprompt/request.ts";
