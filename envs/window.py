"""A pygame window that shows pictures at a steady rate. pygame is imported on opening it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Window:
    """Shows RGB pictures, one size for its whole life. `close` it, or use it in a `with`."""

    def __init__(self, width: int, height: int, caption: str, fps: float) -> None:
        import pygame

        self._pygame = pygame
        self._fps = fps
        pygame.display.init()
        pygame.display.set_caption(caption)
        self._surface = pygame.display.set_mode((width, height))
        self._clock = pygame.time.Clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture [height, width, 3], then wait until the next is due."""
        frame = self._pygame.surfarray.make_surface(picture.transpose(1, 0, 2))
        self._surface.blit(frame, (0, 0))
        self._pygame.display.flip()
        self._clock.tick(self._fps)

    def events(self) -> list[Any]:
        """The pygame events since the last call; calling it keeps the window alive."""
        return list(self._pygame.event.get())

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
