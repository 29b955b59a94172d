/** Both shared rows and bidirectional pictures. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({
  ...base,
  model: { ...base.model, sharedCodes: true, wholePictures: true },
});
