"""Colours of wide-gamut photographs before and after: mean CIEDE2000.

    python experiments/bench/wide_gamut.py [--images DIR] [--quality 8]

A photograph is given an ICC profile of four wide spaces, coded and decoded by
the codec, and compared as seen: through the profile that each picture has, or
as sRGB. `converted` is the default, `kept` is `--keep-metadata`; `as_stored`
codes the pixels as they lie in the file and drops the profile, which is what a
codec does that does not look at it.
"""

import io
import sys

import common
import numpy as np
import skimage.data
from PIL import Image, ImageCms
from skimage.color import deltaE_ciede2000, rgb2lab

from sclc_jax.codec.codec import load_codec
from sclc_jax.images import find_images, load_photo, png_bytes

sys.path.insert(0, str(common.HERE.parents[1] / "tests" / "images"))

SPACES = ("display_p3", "adobe_rgb", "prophoto", "rec_2020")


def seen(data: bytes) -> np.ndarray:
  """CIELAB of a PNG as a viewer with colour management shows it."""
  image = Image.open(io.BytesIO(data))
  profile = image.info.get("icc_profile")
  image = image.convert("RGB")
  if profile:
    image = ImageCms.profileToProfile(
      image,
      ImageCms.ImageCmsProfile(io.BytesIO(profile)),
      ImageCms.createProfile("sRGB"),
      renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
  return rgb2lab(np.asarray(image) / 255)


def main() -> None:
  import profiles as icc  # of the tests

  parser = common.argument_parser(__doc__)
  parser.add_argument("--images", help="folder; else a photo of scikit-image")
  parser.add_argument("--quality", type=float, default=8, help="of the files")
  parser.add_argument("--model", help="the default one if unset")
  args = parser.parse_args()
  photos = [skimage.data.chelsea()[:256, :256]]
  if args.images:
    photos = [load_photo(path).image for path in find_images(args.images)]
  codec = load_codec(args.model)
  print("space,as_stored,converted,kept")
  for name in SPACES:
    errors = []
    for photo in photos:
      data = png_bytes(photo, {"icc": icc.rgb_profile(name)})
      wanted = seen(data)
      row = []
      for image, metadata in (
        (photo, {}),
        (load_photo(data).image, {}),
        (photo, load_photo(data, keep_profile=True).metadata),
      ):
        coded = codec.compress(image, args.quality, metadata)
        back = png_bytes(codec.decompress(coded), codec.metadata(coded))
        row.append(deltaE_ciede2000(wanted, seen(back)).mean())
      errors.append(row)
    print(name, *(f"{v:.2f}" for v in np.mean(errors, 0)), sep=",")


if __name__ == "__main__":
  main()
