"""The main job over the library, in a few lines: scripts/stylize.py CONTENT STYLE OUT [SIZE]."""

import sys

import jaxstyle as js
from jaxstyle.resize import scale_to


def main(content_file: str, style_file: str, out_file: str, size: str = "512") -> None:
    encoder = js.load_encoder()
    content, style = js.load_image(content_file), js.load_image(style_file)
    content, style = scale_to(content, int(size)), scale_to(style, int(size))

    def show(progress: js.Progress) -> None:
        print(f"{progress.step}/{progress.steps}  loss {sum(progress.terms):.4f}")

    result = js.stylize(encoder, content, style, callback=show)
    print(js.save_image(out_file, result.image, overwrite=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
