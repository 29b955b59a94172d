/** Holds out a whole prototype: no change of tones and colours is trained on. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, heldOutPrototypes: ["tone"] } });
