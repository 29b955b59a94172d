/** Bidirectional attention within the pictures of examples and queries. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, wholePictures: true } });
