import contextlib
import io
import os

import pytest


@pytest.fixture
def closed_pipe():
    """``closed_pipe(kind)``: a stream of a class of text streams whose reader has gone."""
    with contextlib.ExitStack() as opened:

        def open_closed(kind=io.TextIOWrapper):
            reader, writer = os.pipe()
            os.close(reader)
            stream = kind(os.fdopen(writer, "wb"))
            opened.callback(close, stream)
            return stream

        yield open_closed


def close(stream):
    with contextlib.suppress(BrokenPipeError):
        stream.close()
