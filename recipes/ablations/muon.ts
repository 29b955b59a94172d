/** The matrices of the layers moved by Muon instead of AdamW, at the same rate: a step takes a little longer. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, optimizer: { ...base.optimizer, matrices: "muon" } });
