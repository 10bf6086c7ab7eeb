import threading
import time
from contextlib import contextmanager

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def once():
    """``once(condition, act)``: in the meantime, act as soon as the condition holds."""

    @contextmanager
    def acting(condition, act):
        def wait():
            while not condition():
                time.sleep(0.001)
            act()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        yield
        thread.join()

    return acting
