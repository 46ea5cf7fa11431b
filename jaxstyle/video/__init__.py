"""Films: each frame is painted from the one before it, so that nothing flickers.

``motion`` estimates the optical flow and finds cuts, ``paint`` paints an iterator of frames,
``reading`` and ``writing`` are films and folders of pictures as files, and ``folder`` is the folder
of painted frames from which an interrupted film continues.
"""

from jaxstyle.ops.warp import consistency, warp
from jaxstyle.video.motion import Flow, Motion, dis_flow
from jaxstyle.video.paint import FrameSettings, PaintedFrame, paint_frames

__all__ = [
    "Flow",
    "FrameSettings",
    "Motion",
    "PaintedFrame",
    "consistency",
    "dis_flow",
    "paint_frames",
    "warp",
]
