"""The main job over the library, in a few lines: scripts/stylize.py CONTENT STYLE OUT [SIZE]."""

import sys

import jaxstyle as js


def main(content_file: str, style_file: str, out_file: str, size: str = "512") -> None:
    encoder = js.load_encoder()
    content = js.load_image(content_file, size=int(size))
    style = js.load_image(style_file, size=int(size))

    def show(progress: js.Progress) -> None:
        print(f"{progress.step}/{progress.steps}  loss {sum(progress.terms):.4f}", file=sys.stderr)

    result = js.stylize(content, style, encoder, callback=show)
    print(js.save_image(out_file, result.image, overwrite=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
