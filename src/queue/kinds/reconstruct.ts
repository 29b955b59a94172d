/** @file Jobs that send pictures through the image tokenizer and back. */
import { z } from "zod";
import { modelKind } from "../kind.ts";
import { packedPicture, packPicture, unpackPicture } from "../pictures.ts";

const pictures = z.array(packedPicture).min(1).max(256);

export const reconstruct = modelKind({
  name: "reconstruct",
  data: z.strictObject({ pictures }),
  result: z.object({ pictures }),
  async handle(data, model, { signal }) {
    const given = await Promise.all(
      data.pictures.map((picture, i) => unpackPicture(picture, `pictures[${i}]`)),
    );
    signal.throwIfAborted();
    const images = await model.xprompt.reconstruct(given);
    return { pictures: await Promise.all(images.map((image) => packPicture(image, "a result"))) };
  },
});
