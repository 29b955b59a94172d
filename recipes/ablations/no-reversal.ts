/** No reversed tasks: removing snow, for example, is not learned from adding snow. */
import { familyNamed } from "x-prompt/tasks";
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

const forwards = base.mix.families.filter((name) => familyNamed(name).reverseOf === undefined);

export default transformerRecipe({ ...base, mix: { ...base.mix, families: forwards } });
