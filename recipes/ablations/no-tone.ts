/** A whole prototype is held out: no change of tones and colours is ever shown. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, heldOutPrototypes: ["tone"] } });
