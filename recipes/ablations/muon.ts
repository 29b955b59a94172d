/** Muon instead of AdamW for the matrices of the layers, at the same learning rate. A step takes a little longer. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, optimizer: { ...base.optimizer, matrices: "muon" } });
