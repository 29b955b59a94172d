/**
 * @file Photos of OpenCV's examples, held out: for measuring only, because the package states no licence per picture.
 * Second views of the same thing, drawings, charts and blurred pictures are left out.
 */
import type { PhotoSet } from "../found.ts";
import { packageFiles } from "../package-files.ts";

const folder = "usr/share/doc/opencv-doc/examples/";

/** Words by file, without `folder`. */
const photos: Readonly<Record<string, string>> = {
  "alphamat/input_images/plant.jpg": "plant in a pot",
  "data/aero1.jpg": "town from the air",
  "data/aloeL.jpg": "aloe in a pot",
  "data/apple.jpg": "apple",
  "data/baboon.jpg": "face of a mandrill",
  "data/board.jpg": "circuit board",
  "data/building.jpg": "building",
  "data/butterfly.jpg": "butterfly on a leaf",
  "data/chicky_512.png": "dog",
  "data/fruits.jpg": "cut fruits",
  "data/graf1.png": "graffiti on a wall",
  "data/home.jpg": "palace under a blue sky",
  "data/leuvenA.jpg": "street of brick houses",
  "data/orange.jpg": "orange",
  "data/rubberwhale1.png": "toys and cloth",
  "data/squirrel_cls.jpg": "squirrel on a branch",
  "dnn_superres/butterfly.png": "wing of a butterfly",
  "reg/home.png": "brick house",
  "text/scenetext01.jpg": "parking sign",
  "text/scenetext02.jpg": "direction sign at night",
  "text/scenetext03.jpg": "entrance of a shop",
  "text/scenetext04.jpg": "container behind a wall",
  "text/scenetext05.jpg": "barrier on a road",
  "text/scenetext06.jpg": "yellow house with a shop",
  "text/scenetext_segmented_word01.jpg": "flowers above a hotel sign",
};

export const opencv: PhotoSet = {
  kind: "photos",
  name: "photos-opencv",
  title: "Photos of OpenCV's examples",
  packages: ["opencv-doc"],
  split: "heldOut",
  async *find([download]) {
    const isPhoto = (path: string) =>
      path.startsWith(folder) && photos[path.slice(folder.length)] !== undefined;
    for await (const { path, bytes } of packageFiles(download!, isPhoto)) {
      const file = path.slice(folder.length);
      yield { name: `opencv/${file.replace(/\.\w+$/, "")}`, words: photos[file]!, bytes, credit: {} };
    }
  },
};
