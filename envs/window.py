"""A pygame window that shows pictures at a steady rate; opening one imports pygame."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Window:
    """Shows RGB pictures of one size. Use it in a `with`, or `close` it."""

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

    def __exit__(self, *error: object) -> None:
        self.close()

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Shows a picture [height, width, 3], then waits until the next is due."""
        frame = self._pygame.surfarray.make_surface(picture.transpose(1, 0, 2))
        self._surface.blit(frame, (0, 0))
        self._pygame.display.flip()
        self._clock.tick(self._fps)

    def events(self) -> list[Any]:
        """Returns the pygame events since the last call; regular calls keep the window alive."""
        return list(self._pygame.event.get())

    def close(self) -> None:
        """Closes the window."""
        self._pygame.display.quit()
