/** Both: shared rows, and pictures seen both ways. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({
  ...base,
  model: { ...base.model, sharedCodes: true, wholePictures: true },
});
