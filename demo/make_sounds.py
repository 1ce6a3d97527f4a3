"""Write the demo's sounds beside this script: they are computed, so that it needs no recording."""

from pathlib import Path

import soundfile

from escnn.audio.demo_sounds import DEMO_SOUNDS, RATE, synthesized

if __name__ == "__main__":
    for name in DEMO_SOUNDS:
        soundfile.write(Path(__file__).parent / f"{name}.wav", synthesized(name), RATE)
